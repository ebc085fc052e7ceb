"""The jobs that keep a tier's backups: a set each day, its drill, and what is no longer kept.

Owns: the CronJobs. Deliberately does not own: the repository, the Secrets, the stores, the rights of cloud identities.

Each job sees what it needs and nothing else, as files: the tier document at /etc/perene/tier.json, each secret of the cluster at
/etc/perene/secrets/<secret>/<key>. What lies in a cloud's vault it reads as its own identity.

Produces the following resources:
    CronJob <name>-<job> for backup, retention, drill and seal
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, CronJobSpecArgs, JobSpecArgs, JobTemplateSpecArgs
from pulumi_kubernetes.core.v1 import (
    AffinityArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    PodAffinityArgs,
    PodAffinityTermArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    WeightedPodAffinityTermArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra import guards, naming
from infra.components import pods
from perene.contract.values import TimeOfDay

HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job: the words after `perene`, what it reads (secret -> keys), when it starts after the set's own time, how often in days.

    volumes: claim -> path, read-only, of the stores that are backed up as files; groups: who may read in them;
    beside: the sets whose volumes these are, on whose nodes they can be mounted.
    scratch: size of its working directory; scratch_class: storage class of a volume for it, empty for the node's disk;
    proxied: Cloud SQL instances that it logs in to, by connection name, with the port on the pod's loopback.
    """

    words: tuple[str, ...]
    secrets: Mapping[str, tuple[str, ...]]
    after_hours: int
    every_days: int
    deadline_hours: int
    memory: str = "512Mi"
    volumes: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    beside: tuple[str, ...] = ()
    scratch: str = "10Gi"
    scratch_class: str = ""
    proxied: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackupsArgs:
    """at: when the daily set is made; jobs: name -> job; repository_claim: the volume of the repository, None for a bucket;
    service_accounts: who a job acts as in the clouds; proxy_image: of the Cloud SQL proxy, where an instance is logged in to.
    """

    namespace: str
    labels: Mapping[str, str]
    image: str
    at: TimeOfDay
    jobs: Mapping[str, Job]
    stores: Sequence[str]
    repository_claim: str | None
    protect: bool
    proxy_image: str = ""
    service_accounts: Mapping[str, str] = field(default_factory=dict)


class Backups(pulumi.ComponentResource):
    """The tier's CronJobs for backups."""

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:Backups", name, None, opts)
        self.args = args
        for job_name, job in args.jobs.items():
            full = f"{name}-{job_name}"
            labels = {**args.labels, "app.kubernetes.io/name": "perene-backups", "perene.dev/role": job_name}
            CronJob(
                full,
                metadata=pods.meta(full, args.namespace, labels),
                spec=CronJobSpecArgs(
                    schedule=schedule(args.at, job.after_hours, job.every_days),
                    time_zone=args.at.zone,
                    concurrency_policy="Forbid",
                    # A controller that was down for an hour still starts what it missed; later, the next day's run is nearer.
                    starting_deadline_seconds=HOUR,
                    successful_jobs_history_limit=3,
                    failed_jobs_history_limit=3,
                    job_template=JobTemplateSpecArgs(
                        metadata=ObjectMetaArgs(labels=labels),
                        spec=JobSpecArgs(
                            backoff_limit=1,
                            # A run that hangs would keep every later one from starting.
                            active_deadline_seconds=job.deadline_hours * HOUR,
                            template=self._pod(full, job, labels, args.service_accounts.get(job_name)),
                        ),
                    ),
                ),
                opts=guards.within(self, protect=args.protect),
            )
        self.register_outputs({})

    def _pod(self, name: str, job: Job, labels: Mapping[str, str], service_account: str | None) -> PodTemplateSpecArgs:
        args = self.args
        volumes = [
            VolumeArgs(name="tier", config_map=ConfigMapVolumeSourceArgs(name=naming.TIER_CONFIG)),
            # A set is fetched and restored here, and goes with the pod.
            pods.ephemeral("scratch", job.scratch, job.scratch_class)
            if job.scratch_class
            else VolumeArgs(name="scratch", empty_dir=EmptyDirVolumeSourceArgs(size_limit=job.scratch)),
            *(pods.secret(secret, secret, *keys) for secret, keys in job.secrets.items()),
        ]
        mounts = [
            VolumeMountArgs(name="tier", mount_path="/etc/perene/tier.json", sub_path="tier.json", read_only=True),
            pods.mount("scratch", "/scratch", writable=True),
            *(pods.secret_mount(secret) for secret in job.secrets),
        ]
        for claim, path in job.volumes.items():
            volumes.append(pods.claim(claim, claim, read_only=True))
            mounts.append(pods.mount(claim, path))
        if args.repository_claim:
            volumes.append(pods.claim("repository", args.repository_claim))
            mounts.append(pods.mount("repository", "/repository", writable=True))
        clients = {naming.access_label(store): "true" for store in args.stores}
        return PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels={**labels, **clients}),
            spec=PodSpecArgs(
                restart_policy="Never",
                service_account_name=service_account,
                automount_service_account_token=False,
                enable_service_links=False,
                # A told stop ends the dump, removes the lock and leaves no half set.
                termination_grace_period_seconds=60,
                security_context=pods.pod_security(groups=job.groups),
                affinity=_affinity(
                    [
                        # The exporter has the repository's volume.
                        *([{**args.labels, "app.kubernetes.io/name": "perene-exporter"}] if args.repository_claim else []),
                        *({**args.labels, "app.kubernetes.io/instance": workload} for workload in job.beside),
                    ]
                ),
                init_containers=[pods.cloud_sql_proxy(args.proxy_image, name, port) for name, port in job.proxied.items()] or None,
                containers=[
                    ContainerArgs(
                        name="perene",
                        image=args.image,
                        image_pull_policy="IfNotPresent",
                        command=["perene", *job.words],
                        env=[
                            *(EnvVarArgs(name=key, value="/scratch") for key in ("HOME", "TMPDIR")),
                            # However the pod is called: a job goes on with its own chain of audit lines.
                            EnvVarArgs(name="PERENE_WRITER", value=name),
                        ],
                        security_context=pods.container_security(),
                        resources=pods.resources(cpu="100m", memory=job.memory),
                        volume_mounts=mounts,
                    )
                ],
                volumes=volumes,
            ),
        )


def _affinity(pods_beside: Sequence[Mapping[str, str]]) -> AffinityArgs | None:
    """Rather on the node of the pods with these labels, which have the same volume: many kinds of volume mount on one node at a time."""
    terms = [
        PodAffinityTermArgs(label_selector=LabelSelectorArgs(match_labels=dict(labels)), topology_key="kubernetes.io/hostname")
        for labels in pods_beside
    ]
    preferred = [WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term) for term in terms]
    return AffinityArgs(pod_affinity=PodAffinityArgs(preferred_during_scheduling_ignored_during_execution=preferred)) if terms else None


def schedule(at: TimeOfDay, after_hours: int, every_days: int) -> str:
    """A cron line in the time's own zone: so many hours after it, each day, each week, or every so many days of the month."""
    hour = (at.hour + after_hours) % 24
    days = {1: "* * *", 7: "* * 0"}.get(every_days, f"*/{every_days} * *")
    return f"{at.minute} {hour} {days}"
