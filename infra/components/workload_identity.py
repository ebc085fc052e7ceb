"""Identities without keys: a Google service account that one Kubernetes service account may act as.

Owns: the account, the binding between both, the Kubernetes service account, and its rights on instances. Deliberately does not own:
rights on buckets and secrets, which stand with the bucket and the secret.

Produces the following resources:
    serviceaccount.Account <name>-account, serviceaccount.IAMMember <name>-act-as, ServiceAccount <name>, projects.IAMMember per role,
    projects.IAMCustomRole <name>-restore-point where it takes backups
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_gcp import projects, serviceaccount
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import guards

# What a login to an instance takes, and what looking at its backups takes; all are bound by a condition to the tier's own instances.
CLOUD_SQL_ROLES = {"client": "roles/cloudsql.client", "login": "roles/cloudsql.instanceUser"}
CLOUD_SQL_LOOK = {"look": "roles/cloudsql.viewer"}
# Make a backup on demand and see that it is whole; no built-in role has that without the right to delete.
RESTORE_POINT = ("cloudsql.backupRuns.create", "cloudsql.backupRuns.get", "cloudsql.instances.get")


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """account_id: 6 to 30 characters; instances: full names of the instances that it may log in to, none for none; roles: or look at.

    takes_backups: whether it may also make backups of those instances on demand.
    """

    project: str
    account_id: str
    purpose: str
    workload_pool: str
    namespace: str
    service_account: str
    labels: Mapping[str, str]
    instances: tuple[str, ...]
    protect: bool
    roles: Mapping[str, str] = field(default_factory=lambda: CLOUD_SQL_ROLES)
    takes_backups: bool = False


class WorkloadIdentity(pulumi.ComponentResource):
    """One identity. email: the Google service account's; member: how policies name it; service_account: who may act as it."""

    email: str
    member: str
    service_account: str

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:WorkloadIdentity", name, None, opts)
        self.email = f"{args.account_id}@{args.project}.iam.gserviceaccount.com"
        self.member = f"serviceAccount:{self.email}"
        self.service_account = args.service_account
        child = guards.within(self, protect=args.protect)
        account = serviceaccount.Account(
            f"{name}-account", account_id=args.account_id, project=args.project, display_name=args.purpose, opts=child
        )
        after = guards.within(self, protect=args.protect, depends_on=[account])
        serviceaccount.IAMMember(
            f"{name}-act-as",
            service_account_id=f"projects/{args.project}/serviceAccounts/{self.email}",
            role="roles/iam.workloadIdentityUser",
            member=f"serviceAccount:{args.workload_pool}[{args.namespace}/{args.service_account}]",
            opts=after,
        )
        ServiceAccount(
            name,
            metadata=ObjectMetaArgs(
                name=args.service_account,
                namespace=args.namespace,
                labels=dict(args.labels),
                annotations={"iam.gke.io/gcp-service-account": self.email},
            ),
            automount_service_account_token=False,
            opts=child,
        )
        if args.instances:
            names = " || ".join(f'resource.name == "{instance}"' for instance in args.instances)
            for part, role in args.roles.items():
                projects.IAMMember(
                    f"{name}-{part}",
                    project=args.project,
                    role=role,
                    member=self.member,
                    condition=projects.IAMMemberConditionArgs(
                        title="the tier's own instances",
                        expression=f'resource.type == "sqladmin.googleapis.com/Instance" && ({names})',
                    ),
                    opts=after,
                )
        if args.takes_backups:
            role_id = f"{args.account_id.replace('-', '_')}_restore_point"
            restore_point = projects.IAMCustomRole(
                f"{name}-restore-point",
                project=args.project,
                role_id=role_id,
                title=f"{args.purpose}: restore points",
                permissions=list(RESTORE_POINT),
                opts=after,
            )
            within = " || ".join(f'resource.name == "{instance}" || resource.name.startsWith("{instance}/")' for instance in args.instances)
            projects.IAMMember(
                f"{name}-takes-backups",
                project=args.project,
                role=f"projects/{args.project}/roles/{role_id}",
                member=self.member,
                condition=projects.IAMMemberConditionArgs(
                    title="the tier's own instances",
                    expression=within,
                ),
                opts=guards.within(self, protect=args.protect, depends_on=[restore_point]),
            )
        self.register_outputs({"email": self.email})
