"""The cluster's own certificates and keys. Authorities and the encryption key are made once; leaf certificates at each node start."""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from perene.local.layout import NODE_NAME, write_private
from perene.local.ranges import Ranges

AUTHORITY_DAYS, LEAF_DAYS = 3650, 365
AUTHORITIES = ("cluster", "etcd")
SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One certificate: its authority, subject and the names a server answers to."""

    authority: str
    common_name: str
    group: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()


def leaves(ranges: Ranges) -> dict[str, Leaf]:
    """Every leaf certificate by file name. Client names are those that Kubernetes' own RBAC rules expect."""
    loopback = IPv4Address("127.0.0.1")
    served = (ranges.node, ranges.kubernetes_service, loopback)
    return {
        "apiserver": Leaf(authority="cluster", common_name="kube-apiserver", names=SERVICE_NAMES, addresses=served),
        "apiserver-kubelet": Leaf(authority="cluster", common_name="kube-apiserver-kubelet-client", group="system:masters"),
        "apiserver-etcd": Leaf(authority="etcd", common_name="kube-apiserver"),
        "etcd": Leaf(authority="etcd", common_name="etcd", names=("localhost",), addresses=(loopback,)),
        "kubelet-server": Leaf(authority="cluster", common_name=NODE_NAME, names=(NODE_NAME,), addresses=(ranges.node,)),
        "kubelet": Leaf(authority="cluster", common_name=f"system:node:{NODE_NAME}", group="system:nodes"),
        "controller-manager": Leaf(authority="cluster", common_name="system:kube-controller-manager"),
        "scheduler": Leaf(authority="cluster", common_name="system:kube-scheduler"),
        "proxy": Leaf(authority="cluster", common_name="system:kube-proxy"),
        "dns": Leaf(authority="cluster", common_name="perene:dns"),
        "volumes": Leaf(authority="cluster", common_name="perene:volumes"),
        "admin": Leaf(authority="cluster", common_name="perene:admin", group="system:masters"),
    }


def ensure(directory: Path, ranges: Ranges, *, now: datetime | None = None) -> None:
    """Make what is missing and renew every leaf. Existing authorities and the encryption key are never replaced."""
    moment = now or datetime.now(UTC)
    for authority in AUTHORITIES:
        if not (directory / f"{authority}-ca.crt").exists():
            _make_authority(directory, authority, moment)
    for name, leaf in leaves(ranges).items():
        _make_leaf(directory, name, leaf, moment)
    if not (directory / "service-account.pub").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(directory / "service-account.key", _private(key))
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        write_private(directory / "service-account.pub", public)
    if not (directory / "encryption.json").exists():
        write_private(directory / "encryption.json", encryption_configuration(os.urandom(32)))


def encryption_configuration(key: bytes) -> str:
    """How the API server encrypts Secrets in etcd: secretbox with one 32-byte key."""
    provider = {"secretbox": {"keys": [{"name": "first", "secret": base64.b64encode(key).decode()}]}}
    return json.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": [provider, {"identity": {}}]}],
        }
    )


def kubeconfig(directory: Path, user: str, ranges: Ranges, *, context: str) -> str:
    """A kubeconfig (JSON, which is YAML) with the client certificate of `user` inside."""

    def data(name: str) -> str:
        return base64.b64encode((directory / name).read_bytes()).decode()

    cluster = {"server": f"https://{ranges.node}:6443", "certificate-authority-data": data("cluster-ca.crt")}
    client = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": user, "user": client}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
            "current-context": context,
        },
        indent=1,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _subject(common_name: str, group: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, moment: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(minutes=5))
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _make_authority(directory: Path, name: str, moment: datetime) -> None:
    key, subject = ec.generate_private_key(ec.SECP256R1()), _subject(f"perene-local-{name}")
    builder = _builder(subject, subject, key, moment, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(
        _usage(signs=True), critical=True
    )
    write_private(directory / f"{name}-ca.key", _private(key))
    write_private(directory / f"{name}-ca.crt", builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _make_leaf(directory: Path, name: str, leaf: Leaf, moment: datetime) -> None:
    authority = x509.load_pem_x509_certificate((directory / f"{leaf.authority}-ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((directory / f"{leaf.authority}-ca.key").read_bytes(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{leaf.authority}-ca.key is not an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(leaf.common_name, leaf.group), authority.subject, key, moment, LEAF_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    uses: Sequence[x509.ObjectIdentifier] = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if leaf.names or leaf.addresses:
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [*map(x509.DNSName, leaf.names), *map(x509.IPAddress, leaf.addresses)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    write_private(directory / f"{name}.key", _private(key))
    write_private(directory / f"{name}.crt", builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
