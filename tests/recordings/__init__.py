"""What the real engine registered for a stack, recorded once with the CLI: the in-process monitor must come to the same."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perene.engine.program import Program, masked

ROOT = Path(__file__).parents[2]
DIRECTORY = Path(__file__).parent
# What a provider adds to its own inputs: the machine's kubeconfig and the version of the plugin.
OF_THE_MACHINE = frozenset({"__internal", "kubeconfig", "version", "pluginDownloadURL"})


def path(stack: str) -> Path:
    """The recording of a stack."""
    return DIRECTORY / f"{stack}.json.gz"


def ours(program: Program) -> dict[str, Any]:
    """A program's registrations in the form of a recording: URN -> type, inputs, protect."""
    return {one.urn: _entry(one.type, masked(one.inputs), one.protect) for one in program.resources}


def record(stack: str, config: Path) -> dict[str, Any]:
    """Preview a stack with the CLI on PATH, in a project of its own with an empty state, and return what was registered."""
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory) / "project"
        project.mkdir()
        for name in ("infra", "perene", "examples", "__main__.py"):
            (project / name).symlink_to(ROOT / name)
        (project / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text().replace(".venv", sys.prefix))
        (project / f"Pulumi.{stack}.yaml").write_text(config.read_text())
        (project / "state").mkdir()
        environment = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{project}/state",
            "PULUMI_HOME": f"{project}/home",
            "PULUMI_CONFIG_PASSPHRASE": "recording",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
            "KUBECONFIG": os.devnull,
        }
        subprocess.run(["pulumi", "stack", "init", stack], cwd=project, env=environment, check=True, capture_output=True)
        preview = ["pulumi", "preview", "--stack", stack, "--json", "--show-sames"]
        done = subprocess.run(preview, cwd=project, env=environment, check=True, capture_output=True, text=True)
    states = [step["newState"] for step in json.loads(done.stdout)["steps"]]
    return {
        state["urn"]: _entry(state["type"], state.get("inputs", {}), state.get("protect", False))
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


def _entry(type_: str, inputs: Mapping[str, Any], protect: bool) -> dict[str, Any]:
    told = {key: value for key, value in inputs.items() if not (type_.startswith("pulumi:providers:") and key in OF_THE_MACHINE)}
    return {"type": type_, "inputs": _without_empty(told), "protect": protect}


def _without_empty(value: Any) -> Any:
    """Real providers leave out what says nothing: false, none, and empty lists and maps."""
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, False, [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
