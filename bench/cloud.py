"""The cloud tier's own cost: prod's program from the start of Python, Cloud SQL stores up to 500, and a real preview of prod against a bare
program with the same resources. Processor seconds throughout, the best of several runs; the real preview counts the engine and its plugins.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from bench import Row
from perene.engine import monitor
from perene.engine.program import Registration

ROOT = Path(__file__).parents[1]
SECONDS, SMALL, LARGE, RUNS = 1.2, 50, 500, 3
TOOLS = ("pulumi", "pulumi-resource-gcp", "pulumi-resource-kubernetes")


def run() -> list[Row]:
    """Measure and return the rows; without the CLI the last one is named as not run."""
    started = min(alone("alone_prod()") for _ in range(RUNS))
    small, large = (alone(f"alone_stores({stores})") / stores * 1000 for stores in (SMALL, LARGE))
    rows = [
        Row(what="prod's program, from the start of Python", against="its limit", measured=started, plain=SECONDS, unit="s", promised=1.0),
        Row(
            what=f"time per Cloud SQL store at {LARGE} stores", against=f"at {SMALL} stores", unit="ms", promised=1.25,
            measured=large, plain=small,
        ),
    ]  # fmt: skip
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        Console(stderr=True).print(f"not run: a real preview of prod (not installed: {', '.join(absent)})", markup=False)
        return rows
    ours, bare = previews()
    return [
        *rows,
        Row(
            what="prod's preview by the real engine", against="bare program, same resources", unit="s", promised=1.15,
            measured=ours, plain=bare,
        ),
    ]  # fmt: skip


def alone(call: str) -> float:
    """What a function of this module prints, in a process of its own."""
    code = f"from bench import cloud; print(cloud.{call})"
    return float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def alone_prod() -> float:
    """Processor seconds of this process when prod's program has run in it."""
    monitor.run(ROOT, "prod")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def alone_stores(stores: int) -> float:
    """Processor seconds of so many stores above one."""
    with tempfile.TemporaryDirectory() as directory:
        files = [_stack_file(Path(directory, f"{count}.yaml"), count) for count in (1, stores)]
        monitor.run(ROOT, "prod", files[0])
        before = resource.getrusage(resource.RUSAGE_SELF)
        monitor.run(ROOT, "prod", files[1])
        after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _stack_file(path: Path, stores: int) -> Path:
    """Prod's stack file with so many copies of its store."""
    document = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text(encoding="utf-8"))
    tier = document["config"]["perene:tier"]
    (store,) = tier["stores"].values()
    tier["stores"] = {f"s{number:04d}": store for number in range(stores)}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def previews() -> list[float]:
    """Processor seconds of a preview of prod by perene's program and by a bare one, the best of several in turn."""
    from tests.doubles.google import serve  # noqa: PLC0415 - only with the CLI
    from tests.engine_cli import Engine  # noqa: PLC0415

    best = [float("inf")] * 2
    with tempfile.TemporaryDirectory() as directory, serve() as (_, address):
        engines = []
        for name in ("ours", "bare"):
            Path(directory, name).mkdir()
            engines.append(Engine(Path(directory, name), "prod", address))
        declared = [_told(one) for one in monitor.run(ROOT, "prod").resources]
        engines[1].only(sorted(declared, key=lambda one: (not one["type"].startswith("pulumi:"), one["custom"], one["urn"])))
        for _ in range(RUNS):
            for index, engine in enumerate(engines):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                code, document, text = engine.preview()
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                if code or len(document["steps"]) != len(declared) + 1:
                    raise AssertionError(f"both must declare the same resources, or the comparison means nothing: {text[-3000:]}")
                best[index] = min(best[index], after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return best


def _told(one: Registration) -> dict[str, Any]:
    """A registration as an exported state tells it. What only an apply can know (an alert's channel) has a name that could be one."""
    inputs = json.loads(json.dumps(one.inputs).replace("[null]", '["projects/acme-prod/notificationChannels/1"]'))
    kept = {"urn": one.urn, "type": one.type, "custom": one.custom, "parent": one.parent, "protect": one.protect}
    return {
        **kept,
        "provider": f"{one.provider}::id" if one.provider else None,
        "ignoreChanges": list(one.ignore_changes),
        "inputs": inputs,
    }
