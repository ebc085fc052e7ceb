"""What a promotion may rest on, gathered at one stack at one moment: what runs, since when, drills, drift, alerts."""

import json
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from perene.contract.approval import StackEvidence
from perene.contract.migration import LedgerExport
from perene.contract.recovery_set import RecoverySet
from perene.engine import binding, monitor
from perene.engine.change import Stack
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import drift, gate


def gather(
    stack: Stack,
    *,
    now: datetime,
    before: StackEvidence | None,
    drills: dict[str, str],
    alerts: tuple[str, ...],
    ledgers: dict[str, LedgerExport],
) -> StackEvidence:
    """The evidence. before: the last one of this stack: the same commit keeps the moment since when it runs.

    PereneError (exit 3) when the drift cannot be seen in full.
    """
    commit, _ = binding.commit_and_author(stack.root)
    verdict = gate.judge(stack.drift(), now=now)
    if not verdict.certain:
        raise PereneError(
            f"the drift of {stack.name} cannot be seen: {verdict.gaps[0].what}", fix=verdict.gaps[0].fix, exit_code=ExitCode.CANNOT_TELL
        )
    tier = json.loads(_text(monitor.run(stack.root, stack.name).outputs.get("tier")))
    same = before is not None and before.commit == commit
    return StackEvidence(
        stack=stack.name,
        at=now.isoformat(),
        commit=commit,
        since=before.since if before and same else now.isoformat(),
        stores=tuple(tier.get("stores", {})),
        drills=drills,
        drift=drift.drifted(verdict),
        alerts=alerts,
        previous="" if same or before is None else before.commit,
        ledgers=ledgers,
    )


def ledgers(sets: Path, stack: str) -> dict[str, LedgerExport]:
    """`store/database` -> its migrations as the stack's newest recovery set holds them. PereneError (exit 3) without a set of the stack."""
    for file in sorted(sets.glob("*.json"), reverse=True):
        made = RecoverySet.read(file)
        if made.stack == stack:
            return {f"{name}/{database}": one for name, store in made.stores.items() for database, one in store.ledgers.items()}
    raise PereneError(f"no recovery set of {stack} is told", where=str(sets), fix="perene backup", exit_code=ExitCode.CANNOT_TELL)


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output or {})


def firing(url: str, stack: str) -> tuple[str, ...]:
    """Names of the stack's firing alerts, from Prometheus' own list. PereneError (exit 3) when it does not answer: silence is an alarm."""
    address = f"{url.rstrip('/')}/api/v1/alerts"
    if not address.startswith(("http://", "https://")):
        raise PereneError("it is no address of Prometheus", where=url, exit_code=ExitCode.USAGE)
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - the scheme was checked
            alerts = json.load(answer)["data"]["alerts"]
    except (urllib.error.URLError, ValueError, KeyError, TimeoutError) as silent:
        raise PereneError(
            f"Prometheus does not say what fires: {type(silent).__name__}", where=address, exit_code=ExitCode.CANNOT_TELL
        ) from None
    names = {a["labels"]["alertname"] for a in alerts if a.get("state") == "firing" and a["labels"].get("stack", stack) == stack}
    return tuple(sorted(names))
