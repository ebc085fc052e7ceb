"""The archive holds what helps and not one planted secret, however it is spelt."""

import base64
import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from perene.health.doctor import archive, collect
from perene.health.mask import MARK, Mask
from tests.health.cluster import NAMESPACE, FakeApi, objects
from tests.programs import PROBES

pytestmark = PROBES

CORE = f"/api/v1/namespaces/{NAMESPACE}"
PASSWORD = b'CANARY-pa"ss w\\rd/+42'
KEY = bytes(range(200, 232))
PEM = b"-----BEGIN PRIVATE KEY-----\nCANARYMIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7\n-----END PRIVATE KEY-----\n"


def planted() -> FakeApi:
    """A cluster whose objects, logs and events hold the secrets in every spelling."""
    answers: dict[str, Any] = objects()
    data = {"password": PASSWORD, "key": KEY, "tls.key": PEM}
    answers[f"{CORE}/secrets"] = {
        "items": [{"metadata": {"name": "main-admin"}, "data": {name: base64.b64encode(value).decode() for name, value in data.items()}}]
    }
    text = PASSWORD.decode()
    answers[f"{CORE}/pods/main-g1-0/log"] = "\n".join(
        [
            f"LOG:  connecting with {text} now",
            f"url postgresql://app:{quote(text, safe='')}@main:5432/lux",
            f"key {KEY.hex()} and {KEY.hex().upper()} and {base64.b64encode(KEY).decode()}",
            f"json {json.dumps({'a': text})}",
            PEM.decode(),
            "2026 LOG:  database system is ready to accept connections",
        ]
    )
    pod = answers[f"{CORE}/pods"]["items"][0]
    pod["spec"]["containers"][0]["env"] = [
        {"name": "DB_PASSWORD", "value": "CANARY-unknown-to-any-vault"},
        {"name": "LANG", "value": "C.UTF-8"},
    ]
    answers[f"{CORE}/events"] = {"items": [{"message": f"mount failed with {text}", "type": "Warning"}]}
    return FakeApi(answers)


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}  # type: ignore[union-attr]


def test_no_planted_secret_is_in_the_archive_and_what_helps_is(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  perene:tier:\n    system: lux\n  other:dbPassword: CANARY-in-a-file\n")
    archive(collect(planted(), NAMESPACE, tmp_path), tmp_path / "out.tar.gz")
    found = contents(tmp_path / "out.tar.gz")
    everything = "\n".join(found.values())
    for form in (
        "CANARY",
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(PASSWORD).decode(),
        quote(PASSWORD),
    ):
        assert form not in everything, f"{form} is in {[name for name, text in found.items() if form in text]}"
    assert everything.count(MARK) >= 8
    assert "ready to accept connections" in found["perene-doctor/logs/main-g1-0-postgres.log"], "the log is there"
    assert "C.UTF-8" in everything, "what is no secret stays"
    assert "system: lux" in found["perene-doctor/configuration/Pulumi.dev.yaml"]
    assert "main-g1-0" in found["perene-doctor/cluster/pods.json"]
    assert "python:" in found["perene-doctor/versions.txt"]


def test_the_canaries_are_there_before_masking() -> None:
    api = planted()
    raw = api.text(f"{CORE}/pods/main-g1-0/log") + api.text(f"{CORE}/pods") + api.text(f"{CORE}/events")
    assert raw.count("CANARY") >= 4, "the test above has something to find"


def test_the_archive_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "out.tar.gz"
    archive(iter([("a.txt", "a")]), target)
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        archive(iter([("a.txt", "b")]), target)


def test_a_part_that_cannot_be_had_is_said_and_hides_no_other(tmp_path: Path) -> None:
    names = archive(collect(planted(), NAMESPACE, tmp_path), tmp_path / "out.tar.gz")
    assert "cluster/networkpolicies.json.missing" in names
    assert "cluster/pods.json" in names


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("postgres://app:hunter2secret@db/lux", "postgres://app:[secret]@db/lux"),
        ("PGPASSWORD=hunter2", "PGPASSWORD=[secret]"),
        ("Authorization: Bearer abc.def", "Authorization: [secret] [secret]"),
        ("--token abcdef", "--token [secret]"),
        ("aws AKIAABCDEFGHIJKLMNOP here", "aws [secret] here"),
        ('{"password": {"vault": "kubernetes", "name": "main-admin"}}', '{"password": {"vault": "kubernetes", "name": "main-admin"}}'),
        ("the passwords were rotated", "the passwords were rotated"),
        ("AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQ", "[secret]"),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_a_reference_stays(text: str, stays: str) -> None:
    assert Mask()(text) == stays
