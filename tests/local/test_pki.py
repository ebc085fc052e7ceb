"""Certificates and keys of the local cluster."""

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from perene.local import pki
from perene.local.ranges import Ranges

RANGES = Ranges(IPv4Network("10.200.0.0/22"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    pki.ensure(directory, RANGES)
    return directory


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_every_leaf_is_signed_by_its_authority(made: Path) -> None:
    for name, leaf in pki.leaves(RANGES).items():
        authority = read(made / f"{leaf.authority}-ca.crt")
        key = authority.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        read(made / f"{name}.crt").verify_directly_issued_by(authority)


def test_etcd_trusts_nobody_who_holds_only_a_certificate_of_the_cluster(made: Path) -> None:
    with pytest.raises(ValueError, match=r"Issuer name|issuer"):
        read(made / "admin.crt").verify_directly_issued_by(read(made / "etcd-ca.crt"))


def test_the_api_server_answers_to_its_node_and_service_address(made: Path) -> None:
    names = read(made / "apiserver.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {RANGES.node, RANGES.kubernetes_service} <= set(names.get_values_for_type(x509.IPAddress))
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_a_client_certificate_cannot_pose_as_a_server(made: Path) -> None:
    uses = read(made / "admin.crt").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]


def test_nothing_private_is_readable_by_others(made: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o600}


def test_a_later_start_renews_leaves_and_keeps_authorities_and_the_encryption_key(tmp_path: Path) -> None:
    kept = ("cluster-ca.key", "etcd-ca.crt", "service-account.key", "encryption.json")
    pki.ensure(tmp_path, RANGES)
    before = {name: (tmp_path / name).read_bytes() for name in (*kept, "admin.crt")}
    pki.ensure(tmp_path, RANGES, now=datetime.now(UTC) + timedelta(days=300))
    assert all((tmp_path / name).read_bytes() == before[name] for name in kept), "a new encryption key would lose every Secret in etcd"
    assert (tmp_path / "admin.crt").read_bytes() != before["admin.crt"], "an expired certificate would lock the operator out"


def test_secrets_are_written_encrypted_and_the_key_is_32_bytes(made: Path) -> None:
    rule = json.loads((made / "encryption.json").read_text())["resources"][0]
    assert rule["resources"] == ["secrets"]
    assert list(rule["providers"][0]) == ["secretbox"], "the first provider is the one that writes"
    assert len(base64.b64decode(rule["providers"][0]["secretbox"]["keys"][0]["secret"])) == 32


def test_a_kubeconfig_holds_everything_a_client_needs(made: Path) -> None:
    document = json.loads(pki.kubeconfig(made, "admin", RANGES, context="perene-x"))
    assert document["current-context"] == document["contexts"][0]["name"] == "perene-x"
    assert document["clusters"][0]["cluster"]["server"] == f"https://{RANGES.node}:6443"
    assert base64.b64decode(document["users"][0]["user"]["client-certificate-data"]) == (made / "admin.crt").read_bytes()
