"""Schema changes of one database, run as a Job before the application's new version.

Owns: the scripts in the cluster and the Job that runs them once, as role migrator. Deliberately does not own: the database, its roles
and Secrets, the ledger (it lives in the database), the application: whoever deploys that depends on this component.

Produces the following resources:
    ConfigMap and Job <name>-migrate-<digest>. The digest is over everything that the Job runs with: a Job's template cannot
    be changed, so other scripts are another Job, and the old one goes once the new one has succeeded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EnvVarArgs,
    KeyToPathArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import guards, naming
from infra.components import pods
from perene.contract.values import Duration

# The API server refuses objects above 1.5 MiB, a ConfigMap's data above 1 MiB.
CONFIG_MAP_BYTES = 2**20
SCRIPTS, EVIDENCE = "/etc/perene/migrations", "/etc/perene/evidence"


@dataclass(frozen=True, kw_only=True)
class MigrationsArgs:
    """scripts: file name -> SQL, of the store's migrations directory.

    approved: refuse to run without `rehearsal.json` and `approval.json` in evidence (file name -> document), and without a restore point;
    restore_point: where that comes from (`perene migrate apply --restore-point`), empty for `restore-point.json` in evidence;
    repository_claim: the volume of the backup repository, read for it;
    keys: who may approve: name -> public key, PEM. after: refuse what `before.json` in evidence, the ledger of the environment before
    this one (`perene migrate export`), does not have.
    waits_for: what must be there first: options of a component do not reach its children.
    commit: of the scripts, for the audit; application: sessions named APPLICATION/VERSION count as running versions.
    host: the server's name in its certificate, or 127.0.0.1 with a proxy in the pod; workload: whose Secrets hold the password and the
    authority (empty with a proxy, which logs in as service_account); proxy: (image, connection name) of the Cloud SQL proxy.
    """

    store: str
    namespace: str
    labels: Mapping[str, str]
    image: str
    host: str
    database: str
    user: str
    scripts: Mapping[str, str]
    approved: bool
    commit: str
    application: str
    port: int = 5432
    workload: str = ""
    proxy: tuple[str, str] | None = None
    after: bool = False
    service_account: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    restore_point: str = ""
    repository_claim: str | None = None
    waits_for: tuple[pulumi.Resource, ...] = ()
    lock_timeout: Duration = field(default=Duration(2, "s"))
    statement_timeout: Duration = field(default=Duration(10, "m"))
    blocked_limit: Duration = field(default=Duration(5, "s"))
    deadline: Duration = field(default=Duration(1, "h"))

    def __post_init__(self) -> None:
        size = sum(len(name) + len(text.encode()) for files in (self.scripts, self.evidence, self.keys) for name, text in files.items())
        if size > CONFIG_MAP_BYTES:
            raise ValueError(
                f"migrations of {self.store}: {size} bytes of scripts do not fit into a ConfigMap ({CONFIG_MAP_BYTES}). "
                "Move seed data out of the scripts, or squash what every environment has applied into one baseline."
            )


class Migrations(pulumi.ComponentResource):
    """The Job that brings one database to what the scripts say. job: its name; the application's new version waits for it."""

    job: str

    def __init__(self, name: str, args: MigrationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:Migrations", name, None, opts)
        self.args = args
        command, environment = self._command(), self._environment()
        # A ConfigMap's keys may hold no @, as the names of signers do.
        self.shown = {f"evidence-{naming.digest(file)}": (file, text) for file, text in args.evidence.items()}
        self.shown |= {f"key-{naming.digest(signer)}": (f"keys/{signer}.pub", text) for signer, text in args.keys.items()}
        files = {**args.scripts, **{key: text for key, (_, text) in self.shown.items()}}
        told = (f"{key}={value}" for key, value in {**files, **environment}.items())
        self.job = naming.short(f"{name}-migrate", 54)
        self.job += f"-{naming.digest(args.image, args.proxy[0] if args.proxy else '', *command, *told)}"
        labels = {**args.labels, "app.kubernetes.io/instance": name, "perene.dev/role": "migrate"}
        metadata = pods.meta(self.job, args.namespace, {**labels, **naming.NAMED_BY_CONTENT})
        config = ConfigMap(
            f"{name}-scripts",
            metadata=metadata,
            data=files,
            immutable=True,
            opts=guards.named_by_content(self),
        )
        Job(
            f"{name}-migrate",
            metadata=metadata,
            spec=JobSpecArgs(
                # Running again after any interruption is what the tool is made for; a real failure fails each time the same.
                backoff_limit=3,
                completions=1,
                parallelism=1,
                active_deadline_seconds=int(args.deadline.seconds),
                template=self._pod(labels, command, environment),
            ),
            opts=guards.named_by_content(self, depends_on=[config, *args.waits_for]),
        )
        self.register_outputs({"job": self.job})

    def _command(self) -> list[str]:
        args = self.args
        words = ["perene", "migrate", "apply", "--directory", SCRIPTS, "--application", args.application]
        # Every environment logs in as the role that the tier declares; with IAM its name is the identity's.
        words += ["--role", args.user, "--lock-timeout", str(args.lock_timeout), "--statement-timeout", str(args.statement_timeout)]
        words += ["--blocked-limit", str(args.blocked_limit)]
        words += ["--after", f"{EVIDENCE}/before.json"] if args.after else []
        if not args.approved:
            return words
        words += ["--approved", args.store, "--evidence", EVIDENCE, "--keys", f"{EVIDENCE}/keys"]
        return [*words, *(["--restore-point", args.restore_point] if args.restore_point else [])]

    def _environment(self) -> dict[str, str]:
        args = self.args
        shared = {
            "PGHOST": args.host,
            "PGPORT": str(args.port),
            "PGDATABASE": args.database,
            "PGUSER": args.user,
            "PERENE_ACTOR": f"job {args.namespace}",
            "PERENE_COMMIT": args.commit,
            "HOME": "/tmp",  # noqa: S108 - a memory volume of the pod
        }
        if args.proxy:
            return {**shared, "PGSSLMODE": "disable"}  # inside the pod; the proxy speaks TLS and has checked the server
        ca = f"{pods.SECRETS}/tls/ca.crt"
        return {**shared, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": ca, "PERENE_PASSWORD_FILE": f"{pods.SECRETS}/login/password"}

    def _pod(self, labels: Mapping[str, str], command: list[str], environment: Mapping[str, str]) -> PodTemplateSpecArgs:
        args = self.args
        volumes: list[VolumeArgs] = [_scripts(self.job, args.scripts), pods.memory("tmp", "64Mi")]
        mounts: list[VolumeMountArgs] = [pods.mount("scripts", SCRIPTS), pods.mount("tmp", "/tmp", writable=True)]  # noqa: S108 - in memory
        if self.shown:
            items = [KeyToPathArgs(key=key, path=file) for key, (file, _) in self.shown.items()]
            volumes.append(VolumeArgs(name="evidence", config_map=ConfigMapVolumeSourceArgs(name=self.job, items=items)))
            mounts.append(pods.mount("evidence", EVIDENCE))
        if args.repository_claim:
            volumes.append(pods.claim("repository", args.repository_claim))
            mounts.append(pods.mount("repository", "/repository"))
        if not args.proxy:
            volumes += [
                pods.secret("tls", naming.tls_secret(args.workload), "ca.crt"),
                pods.secret("login", naming.login_secret(args.workload, args.user), "password"),
            ]
            mounts += [pods.secret_mount("tls"), pods.secret_mount("login")]
        container = ContainerArgs(
            name="migrate",
            image=args.image,
            image_pull_policy="IfNotPresent",
            command=command,
            env=[EnvVarArgs(name=key, value=value) for key, value in environment.items()],
            security_context=pods.container_security(),
            resources=pods.resources(cpu="100m", memory="256Mi"),
            volume_mounts=mounts,
        )
        return PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels={**labels, naming.access_label(args.store): "true"}),
            spec=PodSpecArgs(
                restart_policy="Never",
                service_account_name=args.service_account or None,
                automount_service_account_token=False,
                enable_service_links=False,
                # A runner that is told to stop finishes or rolls back its statement.
                termination_grace_period_seconds=60,
                security_context=pods.pod_security(),
                init_containers=[pods.cloud_sql_proxy(*args.proxy)] if args.proxy else [],
                containers=[container],
                volumes=volumes,
            ),
        )


def _scripts(config: str, scripts: Mapping[str, str]) -> VolumeArgs:
    items = [KeyToPathArgs(key=file, path=file) for file in scripts]
    return VolumeArgs(name="scripts", config_map=ConfigMapVolumeSourceArgs(name=config, items=items))
