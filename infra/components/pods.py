"""What every pod of perene has in common: who it runs as, what it may do, how it reads secrets and configuration."""

from collections.abc import Mapping, Sequence

from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EmptyDirVolumeSourceArgs,
    EphemeralVolumeSourceArgs,
    HTTPGetActionArgs,
    KeyToPathArgs,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimTemplateArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodSecurityContextArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

# One uid for every store and job, high enough to be nobody on the node (images/ makes the user `postgres` with it).
UID = 10001
SECRETS = "/etc/perene/secrets"


def meta(name: str, namespace: str, labels: Mapping[str, str]) -> ObjectMetaArgs:
    """An object's metadata; the name is always said, never left to the engine."""
    return ObjectMetaArgs(name=name, namespace=namespace, labels=dict(labels))


def pod_security(*, uid: int = UID, gid: int = UID, groups: Sequence[int] = ()) -> PodSecurityContextArgs:
    """Nobody, in the volume's group, with the runtime's system call filter. groups: further ones, to read what others own."""
    return PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=uid,
        run_as_group=gid,
        fs_group=gid,
        supplemental_groups=list(groups) or None,
        # Walking a large volume at every start takes minutes, and makes the data directory group-writable.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> SecurityContextArgs:
    """No way up, nothing writable but what is mounted."""
    return SecurityContextArgs(
        allow_privilege_escalation=False, read_only_root_filesystem=True, capabilities=CapabilitiesArgs(drop=["ALL"])
    )


def resources(*, cpu: str, memory: str) -> ResourceRequirementsArgs:
    """Requested is limited for memory, so that nothing is evicted for using what it was promised; CPU may be borrowed."""
    return ResourceRequirementsArgs(requests={"cpu": cpu, "memory": memory}, limits={"memory": memory})


def secret(volume: str, name: str, *keys: str) -> VolumeArgs:
    """A volume that shows only these keys of a Secret, readable by the pod's group."""
    items = [KeyToPathArgs(key=key, path=key) for key in keys]
    return VolumeArgs(name=volume, secret=SecretVolumeSourceArgs(secret_name=name, default_mode=0o440, items=items))


def config(volume: str, name: str) -> VolumeArgs:
    """A volume that shows a ConfigMap."""
    return VolumeArgs(name=volume, config_map=ConfigMapVolumeSourceArgs(name=name))


def claim(volume: str, name: str, *, read_only: bool = False) -> VolumeArgs:
    """A persistent volume by its claim. read_only: the node then leaves the owner of its files alone."""
    source = PersistentVolumeClaimVolumeSourceArgs(claim_name=name, read_only=read_only or None)
    return VolumeArgs(name=volume, persistent_volume_claim=source)


def ephemeral(volume: str, size: str, storage_class: str) -> VolumeArgs:
    """A volume of its own for a pod, claimed when it starts and deleted with it."""
    claim = PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"],
        storage_class_name=storage_class,
        resources=VolumeResourceRequirementsArgs(requests={"storage": size}),
    )
    template = PersistentVolumeClaimTemplateArgs(spec=claim)
    return VolumeArgs(name=volume, ephemeral=EphemeralVolumeSourceArgs(volume_claim_template=template))


def memory(volume: str, size: str) -> VolumeArgs:
    """A volume in memory, counted against the container's limit."""
    return VolumeArgs(name=volume, empty_dir=EmptyDirVolumeSourceArgs(medium="Memory", size_limit=size))


def mount(volume: str, path: str, *, writable: bool = False) -> VolumeMountArgs:
    """Where a container sees a volume."""
    return VolumeMountArgs(name=volume, mount_path=path, read_only=not writable)


def secret_mount(volume: str) -> VolumeMountArgs:
    """Where a container finds a Secret: /etc/perene/secrets/<volume>/<key>."""
    return mount(volume, f"{SECRETS}/{volume}")


def cloud_sql_proxy(image: str, connection_name: str, port: int = 5432) -> ContainerArgs:
    """The Cloud SQL proxy as a native sidecar: up before the others, and gone with them, so that a Job can end.

    It listens on the pod's loopback only and logs in as the pod's own identity.
    """
    return ContainerArgs(
        name="cloud-sql-proxy" if port == 5432 else f"cloud-sql-proxy-{port}",
        image=image,
        image_pull_policy="IfNotPresent",
        restart_policy="Always",
        args=[
            "--private-ip",
            "--auto-iam-authn",
            "--structured-logs",
            "--health-check",
            "--http-address=0.0.0.0",
            f"--http-port={9090 + port - 5432}",
            f"--port={port}",
            connection_name,
        ],
        startup_probe=ProbeArgs(
            http_get=HTTPGetActionArgs(path="/startup", port=9090 + port - 5432), period_seconds=1, timeout_seconds=5, failure_threshold=60
        ),
        security_context=container_security(),
        resources=resources(cpu="50m", memory="128Mi"),
    )
