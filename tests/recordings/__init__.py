"""What the real engine registered for a stack, recorded once with the CLI: the in-process monitor must come to the same."""

import gzip
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perene.engine.program import Program, masked
from tests.doubles.google import ENDPOINTS, serve
from tests.engine_cli import Engine, camel

ROOT = Path(__file__).parents[2]
DIRECTORY = Path(__file__).parent
# In a provider's own inputs: what the machine and the plugin add, and what tests.engine_cli changes (Google's double, rendered manifests).
OF_THE_MACHINE = frozenset({"__internal", "kubeconfig", "version", "pluginDownloadURL", "accessToken", "context", "renderYamlToDirectory"})
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
OF_THE_DOUBLE = frozenset(camel(key) for key in ENDPOINTS)


def path(stack: str) -> Path:
    """The recording of a stack."""
    return DIRECTORY / f"{stack}.json.gz"


def ours(program: Program) -> dict[str, Any]:
    """A program's registrations in the form of a recording: URN -> type, inputs, protect."""
    return {one.urn: _entry(one.type, _without_keys(masked(one.inputs)), one.protect) for one in program.resources}


def record(stack: str, config: Path) -> dict[str, Any]:
    """Preview a stack with the CLI on PATH, in a project of its own with an empty state, and return what was registered."""
    with tempfile.TemporaryDirectory() as directory, serve() as (_, address):
        engine = Engine(Path(directory), stack, address, config.read_text(encoding="utf-8"))
        code, document, text = engine.preview()
    if code:
        said = [each["message"] for each in document.get("diagnostics", []) if each["severity"] == "error"]
        raise RuntimeError("\n".join(said) or text)
    return registered(document)


def registered(document: Mapping[str, Any]) -> dict[str, Any]:
    """The registrations in a preview of an empty state, in the form of a recording."""
    states = [step["newState"] for step in document["steps"]]
    return {
        state["urn"]: _entry(state["type"], _without_defaults(state.get("inputs", {})), state.get("protect", False))
        for state in states
        if state["type"] != "pulumi:pulumi:Stack"
    }


def write(stack: str, recording: Mapping[str, Any]) -> None:
    """Keep a recording: sorted, compressed without a time, so that the same recording is the same file."""
    text = json.dumps(recording, sort_keys=True, separators=(",", ":"))
    path(stack).write_bytes(gzip.compress(text.encode(), mtime=0))


def read(stack: str) -> dict[str, Any]:
    """A kept recording."""
    return dict(json.loads(gzip.decompress(path(stack).read_bytes())))


def preview(stack: str) -> bytes:
    """A kept recording as the preview that it comes from: everything is created."""
    steps = [{"op": "create", "urn": urn, "newState": {"urn": urn, "custom": not each["type"].startswith("perene:"), **each}}
             for urn, each in read(stack).items()]  # fmt: skip
    return json.dumps({"config": {}, "steps": steps, "diagnostics": [], "duration": 1, "changeSummary": {"create": len(steps)}}).encode()


def _without_keys(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The public key of a dev cluster is the checkout's own, and the recording has none."""
    tier = inputs.get("data", {}).get("tier.json") if isinstance(inputs.get("data"), Mapping) else None
    return {**inputs, "data": {"tier.json": json.dumps({**json.loads(tier), "proof_key": None}, indent=2)}} if tier else inputs


def _entry(type_: str, inputs: Mapping[str, Any], protect: bool) -> dict[str, Any]:
    told = {
        key: value for key, value in inputs.items() if not (type_.startswith("pulumi:providers:") and key in OF_THE_MACHINE | OF_THE_DOUBLE)
    }
    return {"type": type_, "inputs": _without_empty(told), "protect": protect}


def _without_defaults(value: Any) -> Any:
    """Google's provider adds defaults to its inputs, and says which. What only an apply can know is nothing in the monitor."""
    if value == UNKNOWN:
        return None
    if isinstance(value, Mapping):
        added = {"__defaults", *value.get("__defaults", ())}
        return {key: _without_defaults(item) for key, item in value.items() if key not in added}
    return [_without_defaults(item) for item in value] if isinstance(value, list) else value


def _without_empty(value: Any) -> Any:
    """Real providers leave out what says nothing: false, none, and empty lists and maps."""
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, False, [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
