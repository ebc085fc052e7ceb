"""Constrained types, each named once: what a value may look like, wherever it stands."""

import re
from collections.abc import Callable, Container
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from infra.config.places import AWS_REGIONS, GCP_LOCATIONS, GCP_REGIONS
from perene.contract.values import Duration, Size, TimeOfDay


def _text(parse: Callable[[str], Any]) -> PlainValidator:
    """A value that is written as text; YAML's own readings of it (numbers, booleans) are refused with a hint."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(
                f'must be text, but was read as {type(value).__name__}: put it in quotes, with its unit if it has one, like "5s"'
            )
        return parse(value)

    return PlainValidator(validate)


def _matches(pattern: str, what: str) -> PlainValidator:
    compiled = re.compile(pattern)

    def parse(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"must be {what}")
        return value

    return _text(parse)


def _one_of(known: Container[str], what: str, example: str) -> PlainValidator:
    def parse(value: str) -> str:
        if value not in known:
            raise ValueError(f"is no {what} that perene knows (like {example}); a misspelt place would only fail at the service")
        return value

    return _text(parse)


def _shown(description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description})


SizeText = Annotated[Size, _text(Size.parse), PlainSerializer(str), _shown("size, like 20GiB or 100GB")]
DurationText = Annotated[Duration, _text(Duration.parse), PlainSerializer(str), _shown("duration, like 30d, 1h, 5s")]
TimeText = Annotated[TimeOfDay, _text(TimeOfDay.parse), PlainSerializer(str), _shown('time and zone, like "03:00 America/Sao_Paulo"')]


def _date(value: str) -> str:
    # The engine's YAML reader turns a bare 2026-12-01 into a timestamp; all spellings mean the day.
    match = re.fullmatch(r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?:T00:00:00Z| 00:00:00 \+0000 UTC)?", value)
    if not match:
        raise ValueError("must be a date like 2026-12-01")
    return match[1]


Date = Annotated[str, _text(_date), _shown("date, like 2026-12-01")]

_PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
StoreName = Annotated[
    str, _matches(r"[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?", "1 to 20 of a-z 0-9 -, starting with a letter"), _shown("1-20 of a-z 0-9 -")
]
SystemName = Annotated[
    str, _matches(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?", "1 to 30 of a-z 0-9 -, starting with a letter"), _shown("1-30 of a-z 0-9 -")
]
Namespace = Annotated[str, _matches(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", "a DNS label: up to 63 of a-z 0-9 -"), _shown("DNS label")]
KubeContext = Annotated[str, _matches(r"[\w.@:/-]{1,253}", "the name of a kubeconfig context"), _shown("kubeconfig context")]
LabelName = Annotated[
    str, _matches(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", "the name of a Kubernetes label"), _shown("label name")
]
StorageClassName = Annotated[
    str, _matches(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", "the name of a storage class"), _shown("storage class")
]
GcpProject = Annotated[str, _matches(_PROJECT, "a project id: 6 to 30 of a-z 0-9 -, starting with a letter"), _shown("project id")]
AwsAccount = Annotated[str, _matches(r"\d{12}", "an account id of 12 digits, in quotes"), _shown("account id, 12 digits")]
DatabaseName = Annotated[
    str,
    _matches(
        r"(?!postgres$|template[01]$|cloudsqladmin$|perene_canary$)[a-z_][a-z0-9_]{0,62}",
        "1 to 63 of a-z 0-9 _, not starting with a digit, and no name that the server or perene keeps for itself",
    ),
    _shown("1-63 of a-z 0-9 _"),
]
SchemaName = Annotated[
    str, _matches(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", "1 to 63 of a-z 0-9 _, not starting with pg_"), _shown("1-63 of a-z 0-9 _")
]
RoleName = Annotated[
    str,
    _matches(
        r"(?!postgres$|owner$|admin$|monitor$|public$|none$)[a-z][a-z0-9]{0,19}",
        "1 to 20 of a-z 0-9, starting with a letter; owner, admin and monitor are always there",
    ),
    _shown("1-20 of a-z 0-9"),
]
TableName = Annotated[
    str, _matches(r"(?:[a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*", "a table, or schema.table, in lower case"), _shown("table or schema.table")
]
CollectionName = Annotated[
    str, _matches(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", "1 to 100 of A-Z a-z 0-9 _ -, starting with a letter"), _shown("collection name")
]
Column = Annotated[str, _matches(r"[a-z_][a-z0-9_]{0,62}", "the name of a column: up to 63 of a-z 0-9 _"), _shown("column")]
PayloadField = Annotated[str, _matches(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "1 to 100 of A-Z a-z 0-9 _"), _shown("field of a payload")]
QueueName = Annotated[
    str, _matches(r"(?!amq\.)[A-Za-z0-9_.:-]{1,200}", "1 to 200 of A-Z a-z 0-9 _ . : -, not starting with amq."), _shown("queue name")
]
VirtualHost = Annotated[str, _matches(r"/|[A-Za-z0-9_.-]{1,100}", "`/`, or 1 to 100 of A-Z a-z 0-9 _ . -"), _shown("virtual host")]
PathName = Annotated[
    str, _matches(r"(?!\.)[A-Za-z0-9_.-]{1,100}", "a name of A-Z a-z 0-9 _ . -, not starting with a dot"), _shown("directory")
]
FileMode = Annotated[str, _matches(r"0[0-7]{3}", 'four octal digits in quotes, like "0770"'), _shown("octal mode, like 0770")]
CountPattern = Annotated[
    str, _matches(r"[A-Za-z0-9_.:*?/-]{1,200}", "a name or pattern of A-Z a-z 0-9 _ . : * ? / -"), _shown("name or pattern")
]
Email = Annotated[str, _matches(r"[^@\s<>\"]{1,64}@[a-zA-Z0-9.-]{1,190}\.[a-zA-Z]{2,24}", "an e-mail address"), _shown("e-mail address")]
HttpsUrl = Annotated[
    str, _matches(r"https://[^\s\"'<>@]{3,2000}", "an https:// address without a password in it"), _shown("https:// address")
]
Country = Annotated[str, _matches(r"[A-Z]{2}", "a country code of two capital letters, like BR"), _shown("ISO 3166 country code")]
GcpRegion = Annotated[str, _one_of(GCP_REGIONS, "Google Cloud region", "southamerica-east1"), _shown("Google Cloud region")]
GcpLocation = Annotated[str, _one_of(GCP_LOCATIONS, "Google Cloud location", "us"), _shown("region, or us, eu, asia")]
GcpZone = Annotated[str, _matches(r"[a-z]+-[a-z]+\d+-[a-f]", "a zone like southamerica-east1-b"), _shown("zone")]
AwsRegion = Annotated[str, _one_of(AWS_REGIONS, "AWS region", "sa-east-1"), _shown("AWS region")]
NetworkId = Annotated[
    str,
    _matches(rf"projects/{_PROJECT}/global/networks/[a-z][a-z0-9-]{{0,62}}", "projects/PROJECT/global/networks/NAME"),
    _shown("projects/PROJECT/global/networks/NAME"),
]
WorkloadPool = Annotated[
    str, _matches(rf"{_PROJECT}\.svc\.id\.goog", "PROJECT.svc.id.goog of the cluster's project"), _shown("PROJECT.svc.id.goog")
]
BucketName = Annotated[str, _matches(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", "3 to 63 of a-z 0-9 . _ -"), _shown("bucket name")]
SecretId = Annotated[str, _matches(r"[A-Za-z0-9_-]{1,255}", "1 to 255 of A-Z a-z 0-9 _ -"), _shown("secret id")]
KmsKeyId = Annotated[
    str,
    _matches(
        r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+|arn:aws:kms:[a-z0-9-]+:\d{12}:key/[a-f0-9-]+",
        "the full id of a Cloud KMS key or the ARN of an AWS KMS key",
    ),
    _shown("KMS key id"),
]
RoleArn = Annotated[
    str, _matches(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]{1,512}", "the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME"), _shown("role ARN")
]
OidcProviderArn = Annotated[
    str,
    _matches(r"arn:aws:iam::\d{12}:oidc-provider/[\w./-]{3,255}", "arn:aws:iam::ACCOUNT:oidc-provider/ISSUER"),
    _shown("OIDC provider ARN"),
]
ImageRef = Annotated[
    str,
    _matches(r"[a-z0-9][a-z0-9./:_-]{0,200}@sha256:[a-f0-9]{64}", "an image with its digest: registry/name:tag@sha256:..."),
    _shown("image with digest"),
]
Directory = Annotated[str, _matches(r"(?![/.])(?!.*\.\.)[\w./-]{1,200}", "a directory inside the project"), _shown("directory")]
Text = Annotated[str, _matches(r"\S(?:.{1,198}\S)", "3 to 200 characters of text"), _shown("3-200 characters")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
