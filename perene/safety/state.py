"""The engine's exported state: what a preview does not show, and a fingerprint that is the same for the same resources."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perene.errors import PereneError
from perene.exit_codes import ExitCode

_MOVING = {"created", "modified", "sourcePosition", "stackTrace", "viewOf"}


@dataclass(frozen=True)
class State:
    """resources: URN -> state; pending: operations that were interrupted, in words; leftovers: URNs that the next update deletes."""

    resources: dict[str, dict[str, Any]]
    pending: tuple[str, ...]
    leftovers: tuple[str, ...]
    fingerprint: str


def read_state(path: Path) -> State:
    """Read `pulumi stack export` (or a checkpoint of the file backend). PereneError (exit 3) when it is neither."""
    try:
        return parse_state(path.read_bytes(), str(path))
    except OSError as unreadable:
        raise PereneError(f"cannot read it: {unreadable.strerror}", where=str(path), exit_code=ExitCode.CANNOT_TELL) from None


def parse_state(content: bytes, where: str) -> State:
    """The same from bytes."""
    try:
        document = json.loads(content)
        deployment = document["deployment"] if "deployment" in document else document["checkpoint"]["latest"]
        resources = list(deployment.get("resources") or [])
        pending = list(deployment.get("pending_operations") or [])
        return State(
            resources={str(resource["urn"]): resource for resource in resources},
            pending=tuple(f"{operation['type']} {operation['resource']['urn']}" for operation in pending),
            leftovers=tuple(str(resource["urn"]) for resource in resources if resource.get("delete")),
            fingerprint=fingerprint(resources),
        )
    except (ValueError, AttributeError, KeyError, TypeError):
        raise PereneError(
            "it is no exported state", where=where, fix="pulumi stack export > state.json", exit_code=ExitCode.CANNOT_TELL
        ) from None


def fingerprint(resources: list[dict[str, Any]]) -> str:
    """sha256 over the resources in the order of their URNs, without times and source positions.

    Ciphertext of secrets changes at every write although the secret does not, so it is left out; ids and outputs stay in.
    """
    canonical = sorted(
        (_canonical(resource) for resource in resources), key=lambda resource: (str(resource.get("urn")), bool(resource.get("delete")))
    )
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        if "ciphertext" in value and len(value) == 2:
            return "[secret]"
        return {key: _canonical(item) for key, item in value.items() if key not in _MOVING}
    return [_canonical(item) for item in value] if isinstance(value, list) else value
