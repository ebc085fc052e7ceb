"""Identities without keys in AWS: a role that one Kubernetes service account may assume.

Owns: the role, who assumes it, its rights on buckets, and the Kubernetes service account. Deliberately does not own: the cluster's
identity provider, buckets, secrets.

Produces the following resources:
    iam.Role <name>-role, iam.RolePolicy <name>-<bucket part>, ServiceAccount <name>
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import iam
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import guards
from infra.components import s3_policies
from infra.permissions import Right


@dataclass(frozen=True, kw_only=True)
class AwsIdentityArgs:
    """grants: part of the repository -> (bucket, rights)."""

    account: str
    role: str
    oidc_provider: str
    namespace: str
    service_account: str
    grants: Mapping[str, tuple[str, tuple[Right, ...]]]
    labels: Mapping[str, str]
    cloud_labels: Mapping[str, str]
    protect: bool


class AwsIdentity(pulumi.ComponentResource):
    """One identity. arn: the role's."""

    arn: str

    def __init__(self, name: str, args: AwsIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:aws:Identity", name, None, opts)
        self.arn = f"arn:aws:iam::{args.account}:role/{args.role}"
        role = iam.Role(
            f"{name}-role",
            name=args.role,
            assume_role_policy=s3_policies.trust(args.oidc_provider, args.namespace, args.service_account),
            max_session_duration=14_400,
            tags=dict(args.cloud_labels),
            opts=guards.within(self, protect=args.protect),
        )
        for part, (bucket, rights) in args.grants.items():
            iam.RolePolicy(
                f"{name}-{part}",
                name=part,
                role=role.name,
                policy=s3_policies.identity(bucket, rights),
                opts=guards.within(self, protect=args.protect, deleted_with=role),
            )
        ServiceAccount(
            name,
            metadata=ObjectMetaArgs(
                name=args.service_account,
                namespace=args.namespace,
                labels=dict(args.labels),
                annotations={"eks.amazonaws.com/role-arn": self.arn},
            ),
            automount_service_account_token=False,
            opts=guards.within(self, protect=args.protect),
        )
        self.register_outputs({"arn": self.arn})
