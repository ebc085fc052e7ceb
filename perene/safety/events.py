"""The engine's event log (one JSON event a line) in the shape of its preview document."""

import json
from typing import Any

from perene.errors import PereneError
from perene.exit_codes import ExitCode

_EVENTS = ("preludeEvent", "resourcePreEvent", "summaryEvent", "diagnosticEvent", "policyEvent", "cancelEvent", "stdoutEvent")


def looks_like(head: bytes) -> bool:
    """Whether the first bytes of a file are an event log."""
    return head.startswith(b"{") and any(f'"{name}"'.encode() in head for name in (*_EVENTS, "sequence"))


def as_preview(content: bytes, where: str) -> bytes:
    """An event log as a preview document (bytes of JSON). It carries fewer options, so its sames never count as listed.

    Raises PereneError (exit 3) on a line that is no event.
    """
    steps: list[dict[str, Any]] = []
    diagnostics: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    summary: dict[str, int] | None = None
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            if "resourcePreEvent" in event:
                steps.append(_step(event["resourcePreEvent"]["metadata"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PereneError("it is no line of an event log", where=f"{where}:{number}", exit_code=ExitCode.CANNOT_TELL) from None
        if not isinstance(event, dict):
            raise PereneError("it is no event", where=f"{where}:{number}", exit_code=ExitCode.CANNOT_TELL)
        if "preludeEvent" in event:
            config = event["preludeEvent"].get("config") or {}
        elif "summaryEvent" in event:
            summary = event["summaryEvent"].get("resourceChanges")
        elif "diagnosticEvent" in event:
            diagnostics.append({name: event["diagnosticEvent"].get(name) or "" for name in ("severity", "message", "urn")})
        elif "policyEvent" in event and event["policyEvent"].get("enforcementLevel") == "mandatory":
            diagnostics.append({"severity": "error", "message": f"policy: {event['policyEvent'].get('message')}"})
    preview = {"config": config, "steps": steps, "diagnostics": diagnostics, "duration": 0}
    return json.dumps(preview | ({"changeSummary": summary} if summary is not None else {})).encode()


def _step(metadata: dict[str, Any]) -> dict[str, Any]:
    detailed = {path: {"kind": diff.get("diffKind", "update")} for path, diff in (metadata.get("detailedDiff") or {}).items()}
    return {
        "op": metadata["op"],
        "urn": metadata["urn"],
        "oldState": metadata.get("old"),
        "newState": metadata.get("new"),
        "detailedDiff": detailed,
        "diffReasons": metadata.get("diffs"),
        "replaceReasons": metadata.get("keys"),
    }
