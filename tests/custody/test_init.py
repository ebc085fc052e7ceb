"""Secrets are made once, never overwritten, never made anew while something needs the lost one, and escrowed."""

import json
import subprocess
from pathlib import Path

import pyrage
import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from perene.contract.tier import TierDocument
from perene.custody import certificates, escrow, init, sentinel
from perene.custody.needed import needed
from perene.custody.vaults import Vaults
from perene.errors import PereneError
from tests.custody.doubles import DoubleOfClusterSecrets, tier
from tests.programs import needs

ALL = [
    "perene-ca",
    "main-g1-tls",
    "main-g1-admin",
    "main-g1-app",
    "main-g1-migrator",
    "perene-restic",
    "perene-encryption-key",
    "perene-sentinel",
    "perene-signing",
]


def test_the_needed_secrets_follow_from_the_tier_document() -> None:
    assert [secret.name for secret in needed(tier())] == ALL
    bare = tier().model_copy(update={"repository": None, "encryption_key": None, "stores": {}})
    assert [secret.name for secret in needed(bare)] == ["perene-signing"], "what the tier does not use is not made"


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    first = init.initialise(Vaults(vault), tier(), tmp_path, None)
    before = {name: dict(content) for name, content in vault.secrets.items()}
    second = init.initialise(Vaults(vault), tier(), tmp_path, None)
    assert list(first.made) == ALL
    assert second.made == ()
    assert vault.secrets == before, "an existing secret must never be overwritten"
    assert init.problems(Vaults(vault), tier()) == []


def test_only_the_missing_ones_are_made(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    init.initialise(Vaults(vault), tier(), tmp_path, None)
    kept = vault.secrets["perene-encryption-key"]["key"]
    del vault.secrets["main-g1-app"], vault.secrets["perene-sentinel"]
    report = init.initialise(Vaults(vault), tier(), tmp_path, None)
    assert report.made == ("main-g1-app", "perene-sentinel")
    assert vault.secrets["perene-encryption-key"]["key"] == kept
    assert sentinel.opens(kept, vault.secrets["perene-sentinel"]["sentinel"]), "a late sentinel is sealed with the existing key"


def test_a_lost_key_is_never_made_anew(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    init.initialise(Vaults(vault), tier(), tmp_path, None)
    del vault.secrets["perene-encryption-key"]
    with pytest.raises(PereneError, match=r"perene-encryption-key is lost and is not made anew(.|\n)*perene secrets restore dev"):
        init.initialise(Vaults(vault), tier(), tmp_path, None)
    assert "perene-encryption-key" not in vault.secrets


def test_a_lost_password_is_never_made_anew_while_its_volume_exists(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    init.initialise(Vaults(vault), tier(), tmp_path, None)
    vault.existing_claims = {"perene-repository", "data-main-g1-0"}
    del vault.secrets["perene-restic"], vault.secrets["main-g1-admin"]
    with pytest.raises(PereneError) as refused:
        init.initialise(Vaults(vault), tier(), tmp_path, None)
    assert len(refused.value.problems) == 2, "all lost secrets are named at once"
    assert "perene-repository" in str(refused.value)


def test_the_exporters_login_may_come_later_than_the_volume(tmp_path: Path) -> None:
    plain = tier().model_dump(mode="json")
    plain["stores"]["main"]["rights"]["monitor"] = "monitor"
    password = {"vault": "kubernetes", "scope": plain["namespace"], "name": "main-g1-monitor", "key": "password"}
    plain["stores"]["main"]["logins"]["monitor"] = {"user": "monitor", "password": password}
    vault = DoubleOfClusterSecrets()
    init.initialise(Vaults(vault), tier(), tmp_path, None)
    vault.existing_claims = {"data-main-g1-0"}
    report = init.initialise(Vaults(vault), TierDocument.parse(json.dumps(plain), "later"), tmp_path, None)
    assert report.made == ("main-g1-monitor",), "an older tier gets it without a word about lost passwords"


def test_a_guarded_tier_wants_an_escrow_recipient(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    with pytest.raises(PereneError, match="has no escrow recipient"):
        init.initialise(Vaults(vault), tier(guarded=True), tmp_path, None)
    assert vault.secrets == {}, "nothing is made before everything is known to be well"


def test_the_escrow_opens_with_the_identity_and_restores_everything(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"# created: today\n{identity}\n")
    vault = DoubleOfClusterSecrets()
    report = init.initialise(Vaults(vault), tier(guarded=True), tmp_path, str(identity.to_public()))
    assert report.escrow is not None
    assert report.escrow.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    assert report.escrow.stat().st_mode & 0o077 == 0, "the escrow is the operator's alone"
    assert (tmp_path / ".perene").stat().st_mode & 0o077 == 0

    again = init.initialise(Vaults(vault), tier(guarded=True), tmp_path, str(identity.to_public()))
    assert not again.escrow_is_new, "a run that makes nothing writes nothing"

    empty = DoubleOfClusterSecrets()
    restored = init.restore(Vaults(empty), tier(guarded=True), tmp_path, escrow.read(report.escrow, tmp_path / "identity"))
    assert list(restored.made) == ALL
    assert empty.secrets == vault.secrets

    (tmp_path / "other").write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(PereneError, match="does not open"):
        escrow.read(report.escrow, tmp_path / "other")


def test_a_wrong_recipient_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    with pytest.raises(PereneError, match="is not an age recipient"):
        init.initialise(Vaults(vault), tier(), tmp_path, "age1wrong")
    assert vault.secrets == {}


def test_check_names_everything_that_is_wrong(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    init.initialise(Vaults(vault), tier(), tmp_path, None)
    del vault.secrets["main-g1-app"]
    vault.secrets["main-g1-admin"] = {"username": b"admin"}
    vault.secrets["perene-encryption-key"] = {"key": b"0" * 32}
    other = certificates.make_authority("other")
    vault.secrets["main-g1-tls"]["tls.crt"] = certificates.make_server(other, ("elsewhere",)).certificate
    text = "\n".join(str(problem) for problem in init.problems(Vaults(vault), tier()))
    for expected in (
        "main-g1-app is missing",
        "main-g1-admin has no password",
        "does not open the sentinel",
        "does not carry main-g1, main-g1.lux",
        "perene secrets init dev",
    ):
        assert expected in text


def test_a_client_that_verifies_accepts_the_server_under_every_name_and_no_other() -> None:
    authority = certificates.make_authority("lux")
    hosts = next(secret.hosts for secret in needed(tier()) if secret.purpose == "certificate")
    server = x509.load_pem_x509_certificate(certificates.make_server(authority, hosts).certificate)
    trusted = PolicyBuilder().store(Store([x509.load_pem_x509_certificate(authority.certificate)]))
    for host in hosts:
        trusted.build_server_verifier(x509.DNSName(host)).verify(server, [])
    with pytest.raises(x509.verification.VerificationError):
        trusted.build_server_verifier(x509.DNSName("elsewhere")).verify(server, [])


def test_no_secret_shows_in_a_representation() -> None:
    assert "PRIVATE" not in repr(certificates.make_authority("lux"))


@needs("openssl")
def test_the_public_key_of_a_dev_cluster_stays_out_of_git_and_that_of_a_guarded_tier_goes_in(tmp_path: Path) -> None:
    assert init.public_key_file(tmp_path, tier()) == tmp_path / ".perene/keys/dev.pub"
    assert init.public_key_file(tmp_path, tier(guarded=True)) == tmp_path / "keys/dev.pub"
    init.initialise(Vaults(DoubleOfClusterSecrets()), tier(), tmp_path, None)
    shown = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(tmp_path / ".perene/keys/dev.pub"), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ED25519" in shown.stdout
