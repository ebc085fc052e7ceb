"""Secrets in cloud vaults: the value is written once, whoever comes first, and never over another. Both vaults are doubles."""

from collections.abc import Iterator

import boto3
import pytest
import requests
from moto.core.decorator import mock_aws

from perene.contract.tier import SecretRef
from perene.custody import vaults
from perene.custody.aws_secrets import AwsSecrets
from perene.custody.cloud_secrets import Vault
from perene.custody.google_secrets import GoogleSecrets
from perene.custody.needed import Needed
from perene.custody.resolve import resolve
from perene.errors import PereneError
from tests.doubles import google


def secret(vault: str, name: str) -> Needed:
    scope = {"gcp": "acme", "aws": "sa-east-1"}[vault]
    ref = SecretRef.model_validate({"vault": vault, "scope": scope, "name": name, "key": ""})
    return Needed(purpose="encryption-key", ref=ref, keys=("",))


@pytest.fixture(params=["gcp", "aws"])
def vault(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Vault]]:
    """A vault with a declared shell `declared` and nothing in it."""
    if request.param == "gcp":
        with google.serve() as (_, address):
            requests.post(f"{address}secrets/v1/projects/acme/secrets?secretId=declared", json={}, timeout=5)
            yield "gcp", GoogleSecrets(f"{address}secrets/v1/", requests.Session())
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with mock_aws():
            boto3.client("secretsmanager", region_name="sa-east-1").create_secret(Name="declared")
            yield "aws", AwsSecrets()


def test_a_value_is_written_once_and_read_back_byte_for_byte(vault: tuple[str, Vault]) -> None:
    kind, secrets = vault
    wanted = secret(kind, "declared")
    assert secrets.read([wanted]) == {}, "a shell without a value holds nothing"
    key = bytes(range(32))
    assert secrets.create(wanted, {"": key})
    assert secrets.read([wanted]) == {"declared": {"": key}}


def test_a_job_reads_the_value_and_nothing_else(vault: tuple[str, Vault], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, secrets = vault
    wanted = secret(kind, "declared")
    monkeypatch.setattr(vaults, "cloud", lambda name: secrets if name == kind else None)
    with pytest.raises(PereneError):
        resolve(wanted.ref)
    secrets.create(wanted, {"": b"the value"})
    assert resolve(wanted.ref) == b"the value"


def test_a_second_value_is_never_written_over_the_first(vault: tuple[str, Vault]) -> None:
    kind, secrets = vault
    wanted = secret(kind, "declared")
    secrets.create(wanted, {"": b"first"})
    assert not secrets.create(wanted, {"": b"second"}), "somebody was faster"
    assert secrets.read([wanted])["declared"] == {"": b"first"}


def test_an_undeclared_secret_names_the_command_that_declares_it(vault: tuple[str, Vault]) -> None:
    kind, secrets = vault
    with pytest.raises(PereneError, match="run `pulumi up`"):
        secrets.create(secret(kind, "undeclared"), {"": b"value-of-it"})


def test_no_error_shows_a_value(vault: tuple[str, Vault]) -> None:
    kind, secrets = vault
    with pytest.raises(PereneError) as refused:
        secrets.create(secret(kind, "undeclared"), {"": b"value-of-it"})
    assert "value-of-it" not in str(refused.value)


def test_two_runs_at_once_leave_the_lower_version_as_the_value() -> None:
    with google.serve() as (double, address):
        requests.post(f"{address}secrets/v1/projects/acme/secrets?secretId=declared", json={}, timeout=5)
        wanted = secret("gcp", "declared")

        class Late(GoogleSecrets):
            """Sees no version when it looks first, as a run does that starts at the same moment."""

            looked = False

            def _versions(self, secret: Needed, *, missing_is_empty: bool = False) -> dict[int, str]:
                if not self.looked:
                    self.looked = True
                    return {}
                return super()._versions(secret, missing_is_empty=missing_is_empty)

        first, late = GoogleSecrets(f"{address}secrets/v1/", requests.Session()), Late(f"{address}secrets/v1/", requests.Session())
        assert first.create(wanted, {"": b"first"})
        assert not late.create(wanted, {"": b"late"})
        assert late.read([wanted]) == {"declared": {"": b"first"}}
        assert [version["state"] for version in double.values["secrets/projects/acme/secrets/declared"]] == ["ENABLED", "DISABLED"]


def test_a_value_out_of_use_is_no_value_but_nothing_is_destroyed(vault: tuple[str, Vault]) -> None:
    kind, secrets = vault
    wanted = secret(kind, "declared")
    secrets.create(wanted, {"": bytes(32)})
    secrets.retire(wanted)
    assert secrets.read([wanted]) == {}
    secrets.retire(wanted)
    if kind == "aws":
        boto3.client("secretsmanager", region_name="sa-east-1").restore_secret(SecretId="declared")
        assert secrets.read([wanted]) == {"declared": {"": bytes(32)}}
