"""The answers of the in-process monitor: inputs come back as outputs, and what only a service would compute gets a stand-in.

A stand-in has the real shape, is the same in every run, and never reaches an object in a cluster: manifests are rendered from inputs.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.struct_pb2 import Struct

Plain = dict[str, Any]
Computed = dict[str, str]


def _cloud_sql(name: str, inputs: Plain) -> Computed:
    instance = inputs.get("name", name)
    project, region = inputs.get("project", "project"), inputs.get("region", "region")
    return {
        "name": instance,
        "connectionName": f"{project}:{region}:{instance}",
        "privateIpAddress": "10.0.0.2",
        "firstIpAddress": "10.0.0.2",
        "serviceAccountEmailAddress": f"{instance}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
    }


def _service_account(name: str, inputs: Plain) -> Computed:
    email = f"{inputs.get('accountId', name)}@{inputs.get('project', 'project')}.iam.gserviceaccount.com"
    return {"email": email, "member": f"serviceAccount:{email}", "uniqueId": "100000000000000000000"}


def _gcs_bucket(name: str, inputs: Plain) -> Computed:
    return {"name": inputs.get("name", name), "url": f"gs://{inputs.get('name', name)}"}


def _gcp_secret(name: str, inputs: Plain) -> Computed:
    return {
        "secretId": inputs.get("secretId", name),
        "name": f"projects/{inputs.get('project', 'project')}/secrets/{inputs.get('secretId', name)}",
    }


def _s3_bucket(name: str, inputs: Plain) -> Computed:
    bucket = inputs.get("bucket", name)
    return {"bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}


def _aws_secret(name: str, inputs: Plain) -> Computed:
    return {"name": inputs.get("name", name), "arn": f"arn:aws:secretsmanager:region:000000000000:secret:{inputs.get('name', name)}"}


# type: what the service computes, from the logical name and the inputs.
COMPUTED: dict[str, Callable[[str, Plain], Computed]] = {
    "gcp:sql/databaseInstance:DatabaseInstance": _cloud_sql,
    "gcp:serviceaccount/account:Account": _service_account,
    "gcp:storage/bucket:Bucket": _gcs_bucket,
    "gcp:secretmanager/secret:Secret": _gcp_secret,
    "aws:s3/bucket:Bucket": _s3_bucket,
    "aws:secretsmanager/secret:Secret": _aws_secret,
}


def answer(type_: str, name: str, inputs: Plain, sent: Struct) -> tuple[str, Struct]:
    """The id and the outputs of a resource: `sent` (its inputs on the wire) with what the service would add."""
    if type_.startswith("kubernetes:"):
        return _kubernetes(name, inputs, sent)
    computed = COMPUTED[type_](name, inputs) if type_ in COMPUTED else {}
    outputs = sent
    if computed:
        outputs = Struct()
        outputs.CopyFrom(sent)
        for key, value in computed.items():
            outputs.fields[key].string_value = value
    return str(computed.get("name", inputs.get("name", name))), outputs


def _kubernetes(name: str, inputs: Plain, sent: Struct) -> tuple[str, Struct]:
    metadata = inputs.get("metadata", {})
    object_name, namespace = metadata.get("name", name), metadata.get("namespace")
    outputs = sent
    if "name" not in metadata:
        outputs = Struct()
        outputs.CopyFrom(sent)
        outputs.fields["metadata"].struct_value.fields["name"].string_value = object_name
    return f"{namespace}/{object_name}" if namespace else str(object_name), outputs
