"""Shells for secrets in Google Secret Manager, the application's encryption key among them.

Owns: the secrets as shells, their guards and replication, who reads them, and the log of every reading. Deliberately does not own:
any value. `perene secrets init` writes each value once; a program that wrote it could write another one over it.

Produces the following resources:
    secretmanager.Secret <name>-<purpose>, secretmanager.SecretIamMember <name>-<purpose>-<reader>, projects.IAMAuditConfig <name>-reads
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_gcp import projects, secretmanager

from infra import guards


@dataclass(frozen=True, kw_only=True)
class GcpVaultArgs:
    """secrets: purpose -> secret id; readers: purpose -> name -> policy member; replicas: regions that hold every value;

    adopted: purposes whose secret exists already.
    """

    project: str
    secrets: Mapping[str, str]
    readers: Mapping[str, Mapping[str, str]]
    replicas: tuple[str, ...]
    labels: Mapping[str, str]
    protect: bool
    adopted: tuple[str, ...] = ()


class GcpVault(pulumi.ComponentResource):
    """The tier's secrets in Secret Manager."""

    def __init__(self, name: str, args: GcpVaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:Vault", name, None, opts)
        for purpose, secret_id in args.secrets.items():
            shell = secretmanager.Secret(
                f"{name}-{purpose}",
                secret_id=secret_id,
                project=args.project,
                replication=secretmanager.SecretReplicationArgs(
                    user_managed=secretmanager.SecretReplicationUserManagedArgs(
                        replicas=[secretmanager.SecretReplicationUserManagedReplicaArgs(location=region) for region in args.replicas]
                    )
                ),
                deletion_protection=args.protect,
                # A destroyed version is only disabled for thirty days: long enough to notice.
                version_destroy_ttl="2592000s",
                labels=dict(args.labels),
                opts=guards.within(
                    self,
                    protect=args.protect,
                    import_id=f"projects/{args.project}/secrets/{secret_id}" if purpose in args.adopted else None,
                ),
            )
            for reader, member in args.readers.get(purpose, {}).items():
                secretmanager.SecretIamMember(
                    f"{name}-{purpose}-{reader}",
                    project=args.project,
                    secret_id=shell.secret_id,
                    role="roles/secretmanager.secretAccessor",
                    member=member,
                    opts=guards.within(self, protect=args.protect, deleted_with=shell),
                )
        projects.IAMAuditConfig(
            f"{name}-reads",
            project=args.project,
            service="secretmanager.googleapis.com",
            audit_log_configs=[projects.IAMAuditConfigAuditLogConfigArgs(log_type="DATA_READ")],
            opts=guards.within(self, protect=args.protect),
        )
        self.register_outputs({})
