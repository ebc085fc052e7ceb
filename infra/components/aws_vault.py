"""Shells for secrets in AWS Secrets Manager, the application's encryption key among them.

Owns: the secrets as shells, their replicas, how long a deleted one can be brought back, and who reads them. Deliberately does not
own: any value. `perene secrets init` writes each value once; a program that wrote it could write another one over it.

Produces the following resources:
    secretsmanager.Secret <name>-<purpose>, secretsmanager.SecretPolicy <name>-<purpose>-readers
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import secretsmanager

from infra import guards


@dataclass(frozen=True, kw_only=True)
class AwsVaultArgs:
    """secrets: purpose -> secret name; readers: purpose -> role ARNs; trusted: ARNs that may delete or change a secret."""

    region: str
    secrets: Mapping[str, str]
    readers: Mapping[str, tuple[str, ...]]
    trusted: tuple[str, ...]
    replicas: tuple[str, ...]
    recovery_window: int
    labels: Mapping[str, str]
    protect: bool


class AwsVault(pulumi.ComponentResource):
    """The tier's secrets in Secrets Manager."""

    def __init__(self, name: str, args: AwsVaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:aws:Vault", name, None, opts)
        for purpose, secret_name in args.secrets.items():
            shell = secretsmanager.Secret(
                f"{name}-{purpose}",
                name=secret_name,
                region=args.region,
                recovery_window_in_days=args.recovery_window,
                replicas=[secretsmanager.SecretReplicaArgs(region=region) for region in args.replicas],
                force_overwrite_replica_secret=False,
                tags=dict(args.labels),
                opts=guards.within(self, protect=args.protect),
            )
            secretsmanager.SecretPolicy(
                f"{name}-{purpose}-readers",
                region=args.region,
                secret_arn=shell.arn,
                block_public_policy=True,
                policy=_policy(args.readers.get(purpose, ()), args.trusted),
                opts=guards.within(self, protect=args.protect, deleted_with=shell),
            )
        self.register_outputs({})


def _policy(readers: tuple[str, ...], trusted: tuple[str, ...]) -> str:
    statements = [
        {
            "Sid": "KeptForGood",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["secretsmanager:DeleteSecret", "secretsmanager:RemoveRegionsFromReplication"],
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": list(trusted)}},
        }
    ]
    if readers:
        statements.append(
            {
                "Sid": "Readers",
                "Effect": "Allow",
                "Principal": {"AWS": list(readers)},
                "Action": ["secretsmanager:GetSecretValue"],
                "Resource": "*",
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
