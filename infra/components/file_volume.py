"""A volume of files: media, static files, models, logs. Applications mount it by its claim's name.

Owns: the claim, and a Job that makes the directories as the application's own user and says what is wrong with the volume where it
cannot. Deliberately does not own: any file, and the pods that use them.

Produces the following resources:
    PersistentVolumeClaim data-<name>-0, ConfigMap <name>-config, Job <name>-directories-<digest>
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgs,
    EnvVarArgs,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import guards, naming
from infra.components import pods
from infra.components.postgres_files import script
from perene.contract.values import Size

CONFIG = "/etc/perene/config"


@dataclass(frozen=True, kw_only=True)
class FileVolumeArgs:
    """image: the ops image, whose shell makes the directories; uid, gid, mode: the application's own user, and of the directories.

    shared: mounted on several nodes at once.
    """

    store: str
    namespace: str
    labels: Mapping[str, str]
    image: str
    storage_class: str
    size: Size
    shared: bool
    directories: tuple[str, ...]
    uid: int
    gid: int
    mode: str
    protect: bool


class FileVolume(pulumi.ComponentResource):
    """A volume of files. claim: its name."""

    claim: str

    def __init__(self, name: str, args: FileVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:k8s:FileVolume", name, None, opts)
        self.claim = naming.claim(name)
        mount = naming.store_mount(args.store)
        labels = {**args.labels, "app.kubernetes.io/name": "files", "app.kubernetes.io/instance": name}
        volume = PersistentVolumeClaim(
            f"{name}-data",
            metadata=pods.meta(self.claim, args.namespace, labels),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteMany" if args.shared else "ReadWriteOnce"],
                storage_class_name=args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": args.size.kubernetes}),
            ),
            opts=guards.within(self, protect=args.protect),
        )
        files = {"volume.sh": script("volume.sh"), "prepare.sh": script("files-prepare.sh")}
        config = ConfigMap(
            f"{name}-config",
            metadata=pods.meta(f"{name}-config", args.namespace, labels),
            data=files,
            opts=guards.within(self, protect=args.protect),
        )
        environment = {"VOLUME": mount, "DIRECTORIES": " ".join(args.directories), "MODE": args.mode}
        container = ContainerArgs(
            name="directories",
            image=args.image,
            image_pull_policy="IfNotPresent",
            command=["/bin/sh", f"{CONFIG}/prepare.sh"],
            env=[EnvVarArgs(name=key, value=value) for key, value in environment.items()],
            security_context=pods.container_security(),
            resources=pods.resources(cpu="20m", memory="32Mi"),
            volume_mounts=[pods.mount("data", mount, writable=True), pods.mount("config", CONFIG)],
        )
        digest = naming.digest(args.image, *files.values(), *environment.values(), str(args.uid), str(args.gid))
        Job(
            f"{name}-directories",
            metadata=pods.meta(f"{name}-directories-{digest}", args.namespace, {**labels, **naming.NAMED_BY_CONTENT}),
            spec=JobSpecArgs(
                backoff_limit=4,
                active_deadline_seconds=900,
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels={**labels, "perene.dev/role": "directories"}),
                    spec=PodSpecArgs(
                        restart_policy="Never",
                        automount_service_account_token=False,
                        enable_service_links=False,
                        security_context=pods.pod_security(uid=args.uid, gid=args.gid),
                        containers=[container],
                        volumes=[pods.claim("data", self.claim), pods.config("config", f"{name}-config")],
                    ),
                ),
            ),
            opts=guards.named_by_content(self, depends_on=[volume, config]),
        )
        self.register_outputs({"claim": self.claim})
