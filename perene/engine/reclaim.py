"""What becomes of a tier's volumes when their claims go: the cluster is asked, since only it knows its storage classes."""

from collections.abc import Iterator

from perene.engine.kubectl import Kubectl
from perene.engine.objects import Declared, declared, shown
from perene.engine.program import Program
from perene.engine.tier import document
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode


def check(kubectl: Kubectl, program: Program) -> list[str]:
    """Warnings for dev, one per volume that would go with its claim. PereneError (exit 4) with all of them for a guarded tier."""
    problems = [problem for item in declared(program) if item.key[0] == "PersistentVolumeClaim" for problem in _problems(kubectl, item)]
    if problems and document(program).guarded:
        raise PereneError(problems=problems, exit_code=ExitCode.WEAKENS)
    return [f"{problem.where}: {problem.what}" for problem in problems]


def _problems(kubectl: Kubectl, item: Declared) -> Iterator[Problem]:
    _, namespace, name = item.key
    # A volume keeps the policy that it was made with, whatever its class says today.
    bound = ((kubectl.get("persistentvolumeclaim", name, namespace) or {}).get("spec") or {}).get("volumeName")
    if bound:
        volume = kubectl.get("persistentvolume", bound)
        policy, kind = (volume["spec"].get("persistentVolumeReclaimPolicy") if volume else None), f"volume {bound}"
        fix = f'kubectl patch pv {bound} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\''
    else:
        chosen = item.manifest["spec"]["storageClassName"]
        found = kubectl.get("storageclass", chosen)
        if found is None:
            raise PereneError(
                f"the cluster has no storage class {chosen}",
                where=shown(item.key),
                why="the claim would wait for it for ever",
                fix="name one that there is (`kubectl get storageclass`) in cluster.storageClass, or make it as docs/local.md shows",
                exit_code=ExitCode.CANNOT_TELL,
            )
        # A class without a policy deletes: that is the service's default.
        policy, kind = found.get("reclaimPolicy", "Delete"), f"storage class {chosen}"
        fix = "name a storage class with reclaimPolicy Retain in cluster.storageClass"
    if policy == "Delete":
        yield Problem(
            what=f"the {kind} has reclaim policy Delete",
            where=shown(item.key),
            why="whoever deletes the claim deletes the disk with every row on it",
            fix=fix,
        )
