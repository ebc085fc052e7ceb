"""Back up, stop, work, start, verify: one command (systems.md Q3, Q5, Q6). Nothing is stopped before its backup was read back."""

import re
from collections.abc import Callable

from perene.contract.recovery_set import RecoverySet
from perene.contract.tier import TierDocument
from perene.engine import pause
from perene.engine.jobs import run_now
from perene.engine.kubectl import Kubectl
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.targets import BACKUP_JOB, RETENTION_JOB
from perene.restore.kept import lost

Say = Callable[[str], None]


def back_up(client: Kubectl, tier: TierDocument, say: Say) -> RecoverySet:
    """Make a set in the cluster now, and read its manifest back from the repository by another job. PereneError when either fails."""
    log = run_now(client, tier.namespace, BACKUP_JOB, ("backup",))
    made = re.search(r"recovery set\s+(\S+):", log)
    if made is None:
        raise PereneError("the backup does not name its set", where=BACKUP_JOB, why=log[-500:], fix="nothing was stopped")
    shown = run_now(client, tier.namespace, RETENTION_JOB, ("repo", "show", made[1]), seconds=900)
    text = next((line for line in shown.splitlines() if line.startswith('{"document":')), "")
    manifest = RecoverySet.parse(text, f"{RETENTION_JOB} {made[1]}")
    say(f"backed up: set {manifest.id}, {manifest.bytes / 1e6:.1f} MB of {', '.join(manifest.stores) or 'no store'}, read back")
    return manifest


def maintain(client: Kubectl, tier: TierDocument, names: tuple[str, ...], work: Callable[[], int], say: Say) -> None:
    """Run `work` while the stores are stopped. PereneError (exit 6) when names or counts are lost afterwards; (exit 1) when it failed.

    work: gives an exit status. Whatever it does, the stores are started again.
    """
    stores = pause.stoppable(tier, names)
    before = back_up(client, tier, say)
    try:
        pause.stop(client, tier.namespace, stores)
        say(f"stopped: {', '.join(stores)}; their volumes are where they were")
        code = work()
    finally:
        pause.start(client, tier.namespace, stores)
        say(f"started and ready: {', '.join(stores)}")
    problems = [f"the claim {claim} is not bound" for claim in pause.missing_claims(client, tier.namespace, stores)]
    after = back_up(client, tier, say)
    problems += lost(before, after)
    if problems:
        raise PereneError(
            f"after the maintenance something is lost: {'; '.join(problems)}",
            where=f"set {before.id} has it",
            why="names are gone, or counts shrank, between the set before and the set after",
            fix=f"perene restore {before.id} brings it back beside what is there",
            exit_code=ExitCode.NOT_PROVEN,
        )
    if code:
        raise PereneError(f"the maintenance command ended with {code}", where=tier.stack, why="names and counts are as before")
    say(f"verified: every name of set {before.id} is there, no count is smaller")
