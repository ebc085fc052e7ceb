"""What a promotion may rest on, gathered at one stack at one moment: what runs, since when, drills, drift, alerts."""

import binascii
import json
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from perene.contract.approval import StackEvidence
from perene.engine import binding, monitor
from perene.engine.change import Stack
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import drift, gate


def gather(stack: Stack, *, now: datetime, before: StackEvidence | None, drills: dict[str, str], alerts: tuple[str, ...]) -> StackEvidence:
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
    )


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output or {})


def proven_drills(directory: Path, stack: str, key: Path) -> dict[str, str]:
    """Store -> when its last passed drill ended, from signed drill records. A record that is broken or unsigned counts for nothing."""
    public = serialization.load_pem_public_key(key.read_bytes())
    found: dict[str, str] = {}
    for path in sorted(directory.rglob("*.json")):
        record = _record(path)
        if record.get("document") != "drill" or record.get("stack") != stack or record.get("verdict") != "passed":
            continue
        if isinstance(public, Ed25519PublicKey) and _signed(record, public):
            for store in record.get("stores", {}):
                found[store] = max(found.get(store, ""), str(record.get("finished")))
    return found


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _signed(record: dict[str, Any], key: Ed25519PublicKey) -> bool:
    """Ed25519 over the canonical document with an empty signature, in hexadecimal."""
    payload = json.dumps(record | {"signature": ""}, indent=2, ensure_ascii=False) + "\n"
    try:
        key.verify(bytes.fromhex(str(record.get("signature"))), payload.encode())
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


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
