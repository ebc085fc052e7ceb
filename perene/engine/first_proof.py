"""After `up`: the tier's first backup and drill, so that a new tier is proven at once and not only tomorrow.

What was done is remembered in the checkout, so that a second `up` asks nobody; in another checkout the exporter is asked.
"""

import json
import re
import time
from pathlib import Path

from perene.contract.tier import TierDocument
from perene.engine.jobs import run_now
from perene.engine.kubectl import Kubectl
from perene.engine.progress import Progress
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.health.figures import scraped
from perene.health.kube import ByKubectl
from perene.health.targets import BACKUP_JOB, DRILL_JOB
from perene.private import state, write_private

# `destroy` forgets what is called proof-*.
MEMORY = "proof-backups.json"
METRICS = {"backup": "perene_newest_set_timestamp_seconds", "drill": "perene_newest_proven_set_timestamp_seconds"}
SECONDS, EXPORTER_SECONDS, POLL = 3600.0, 90.0, 1.0
_SET = re.compile(r"recovery set\s+(?P<set>\S+):\s+(?P<size>[\d.]+\s+MB)\s+in\s+(?P<stores>\d+)\s+stores")
_DRILL = re.compile(r"drill of\s+(?P<set>\S+):\s+(?P<verdict>\w+)")
_DAMAGE = re.compile(r"damage on purpose \((?P<kind>.+)\): ")


def ensure(root: Path, client: Kubectl, tier: TierDocument, progress: Progress) -> None:
    """Make the first set and its first drill where there are none yet; a line for people each.

    PereneError with the job's own exit code when one fails: that the tier is up all the same is said.
    """
    stores = [name for name, store in tier.stores.items() if "logical" in store.backup.ways]
    if tier.backups is None or not stores:
        return
    memory = state(root, "stacks", tier.stack) / MEMORY
    if memory.exists():
        done = set(json.loads(memory.read_text(encoding="utf-8")))
    else:
        with progress.stage("first backup"):
            done = _told(client, tier, stores)
    for part, job, line in (("backup", BACKUP_JOB, _backup_line), ("drill", DRILL_JOB, _drill_line)):
        if part not in done:
            with progress.stage(f"first {part}"):
                progress.say(f"the job {job} runs")
                began = time.monotonic()
                log = _run(client, tier, part, job)
            progress.show(f"first {part}: {line(log)}, {time.monotonic() - began:.0f} s")
            done.add(part)
        write_private(memory, json.dumps(sorted(done)))


def _told(client: Kubectl, tier: TierDocument, stores: list[str]) -> set[str]:
    """What every store has had, as the exporter tells it. PereneError (exit 3) when it cannot be told: a set of a database that was lost
    would be the newest one."""
    end = time.monotonic() + EXPORTER_SECONDS
    why = ""
    while time.monotonic() < end:
        try:
            figures = scraped(ByKubectl(client), tier.namespace)
        except PereneError as silent:
            why = silent.problems[0].what
        else:
            if figures.one("perene_repository_readable"):
                had = {part: [figures.one(metric, store=store) for store in stores] for part, metric in METRICS.items()}
                return {part for part, moments in had.items() if None not in moments}
            why = "the exporter cannot read the repository"
        time.sleep(POLL)
    raise PereneError(
        f"{tier.stack} is up, but whether it has a backup cannot be told",
        where=tier.namespace,
        why=why,
        fix=f"perene health {tier.stack}; then `perene up {tier.stack}` again (--no-first-backup leaves it to the schedule)",
        exit_code=ExitCode.CANNOT_TELL,
    )


def _run(client: Kubectl, tier: TierDocument, part: str, job: str) -> str:
    try:
        return run_now(client, tier.namespace, job, seconds=SECONDS)
    except PereneError as failed:
        first, *more = failed.problems
        told = Problem(
            what=f"{tier.stack} is up, but its first {part} failed: {first.what}",
            where=first.where,
            why=first.why,
            fix=f"{first.fix}; then `perene up {tier.stack}` tries it again (--no-first-backup leaves it to the schedule)",
        )
        raise PereneError(problems=[told, *more], exit_code=failed.exit_code) from failed


def _backup_line(log: str) -> str:
    found = _SET.search(log)
    return f"set {found['set']}, stores: {found['stores']}, {found['size']}" if found else "made"


def _drill_line(log: str) -> str:
    """The job ended well, and a drill that finds a difference, or misses the damage, does not."""
    found, damage = _DRILL.search(log), _DAMAGE.search(log)
    if not found:
        return "passed"
    canary = f", canary damage found ({damage['kind']})" if damage else ""
    return f"{found['verdict']}, fingerprint equal{canary}"
