"""The program's own cost: against a bare Pulumi program that declares the same resources, and per store up to 2,000 stores.

Both run in the same in-process monitor. The bare program calls the same provider classes with finished values: no configuration, no
names, no guards, no documents. Times are processor seconds, so that a busy machine does not count; the best of alternating runs counts.
"""

import importlib
import json
import subprocess
import sys
import time
import typing
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi import _types

from bench import Row
from perene.engine import monitor
from perene.engine.program import Program, Registration

ROOT = Path(__file__).parents[1]
STORES, SMALL, LARGE, RUNS = 200, 200, 2000, 4
PROJECT, STACK = "perene", "dev"


def run() -> list[Row]:
    """Measure and return the rows."""
    config = configuration(STORES)
    declared = perene_program(config)
    programs = (
        lambda: perene_program(config),
        lambda: bare_program(declared, typed=True),
        lambda: bare_program(declared, typed=False),
    )
    for bare in programs[1:]:
        if [one.inputs for one in bare().resources] != [one.inputs for one in declared.resources]:
            raise AssertionError("the bare program must declare the same resources, or the comparison means nothing")
    ours, typed, dicts = alternate(*programs)
    small, large = (measure_alone(stores) for stores in (SMALL, LARGE))
    count = f"program, {STORES} stores, {len(declared.resources)} resources"
    return [
        Row(what=count, against="bare Pulumi program, argument classes", measured=ours, plain=typed, unit="s", promised=1.15),
        Row(what=count, against="bare Pulumi program, plain dicts", measured=ours, plain=dicts, unit="s"),
        Row(
            what=f"time per store at {LARGE} stores", against=f"at {SMALL} stores", unit="ms", promised=1.25,
            measured=large["seconds"] / LARGE * 1000, plain=small["seconds"] / SMALL * 1000,
        ),
        Row(
            what=f"memory per store at {LARGE} stores", against=f"at {SMALL} stores", unit="KB", promised=1.25,
            measured=large["kilobytes"] / LARGE, plain=small["kilobytes"] / SMALL,
        ),
    ]  # fmt: skip


def configuration(stores: int) -> dict[str, str]:
    """The dev stack's configuration with so many copies of its store."""
    value = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))["config"]["perene:tier"]
    (store,) = value["stores"].values()
    return {"perene:tier": json.dumps({**value, "stores": {f"s{number:04d}": store for number in range(stores)}})}


def perene_program(config: dict[str, str]) -> Program:
    """Run perene's program."""
    main = importlib.import_module("infra.program").main
    return monitor.run_program(main, project=PROJECT, stack=STACK, config=config, root=ROOT)


def bare_program(declared: Program, *, typed: bool) -> Program:
    """Run a program that declares the same resources with finished values, in the SDK's argument classes or in plain dicts."""
    order = sorted(declared.resources, key=lambda one: (one.package != "pulumi", one.custom, one.urn))

    def main() -> None:
        made: dict[str, pulumi.Resource] = {}
        for one in order:
            made[one.urn] = declare(one, made, typed=typed)
        pulumi.export("tier", dict(declared.outputs["tier"]))

    return monitor.run_program(main, project=PROJECT, stack=STACK, config={}, root=ROOT)


def declare(one: Registration, made: dict[str, pulumi.Resource], *, typed: bool) -> pulumi.Resource:
    """Declare one resource through its provider's class."""
    options = pulumi.ResourceOptions(parent=made.get(one.parent or ""), protect=one.protect)
    if one.component:
        return pulumi.ComponentResource(one.type, one.name, None, options)
    options.provider = made.get(one.provider or "")  # type: ignore[assignment]
    resource_class = class_of(one.type)
    arguments = {snake(key): value for key, value in one.inputs.items() if key not in {"apiVersion", "kind"}}
    if one.package == "pulumi":
        arguments = {key: {"true": True, "false": False}.get(value, value) for key, value in arguments.items()}
    elif typed:
        hints = hints_of(resource_class)
        arguments = {key: as_arguments(value, hints.get(key)) for key, value in arguments.items()}
    return resource_class(one.name, **arguments, opts=options)


@cache
def hints_of(resource_class: Any) -> dict[str, Any]:
    """The types of a resource's own arguments."""
    return typing.get_type_hints(resource_class._internal_init, vars(sys.modules[resource_class.__module__]))


@cache
def arguments_class(hint: Any) -> Any:
    """The argument class that a type hint names, at any depth; None when it names none."""
    if isinstance(hint, type):
        return hint if _types.is_input_type(hint) else None
    return next((found for part in typing.get_args(hint) if (found := arguments_class(part))), None)


@cache
def fields_of(arguments: Any) -> dict[str, tuple[str, Any]]:
    """camelCase name -> (Python name, type) of an argument class."""
    types = _types.input_type_types(arguments)
    return {wire: (name, types.get(name)) for name, wire, _ in _types._py_properties(arguments)}


def as_arguments(value: Any, hint: Any) -> Any:
    """A property tree in the SDK's argument classes, as its documentation writes them."""
    found = arguments_class(hint) if hint is not None else None
    if found is None:
        return value
    if isinstance(value, list):
        return [as_arguments(item, hint) for item in value]
    fields = fields_of(found)
    if not isinstance(value, dict) or not value.keys() <= fields.keys():
        return value
    return found(**{fields[key][0]: as_arguments(item, fields[key][1]) for key, item in value.items()})


def class_of(token: str) -> Callable[..., pulumi.Resource]:
    """`kubernetes:networking.k8s.io/v1:NetworkPolicy` -> the SDK's class."""
    if token == "pulumi:providers:kubernetes":  # noqa: S105 - a type token
        return importlib.import_module("pulumi_kubernetes").Provider  # type: ignore[no-any-return]
    _, group, kind = token.split(":")
    name, _, version = group.partition("/")
    return getattr(importlib.import_module(f"pulumi_kubernetes.{name.partition('.')[0]}.{version}"), kind)  # type: ignore[no-any-return]


def snake(key: str) -> str:
    """`stringData` -> `string_data`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def alternate(*programs: Callable[[], object]) -> list[float]:
    """Processor seconds of each, the best of several runs in turn."""
    best = [float("inf")] * len(programs)
    for _ in range(RUNS):
        for index, program in enumerate(programs):
            start = time.process_time()
            program()
            best[index] = min(best[index], time.process_time() - start)
    return best


def measure_alone(stores: int) -> dict[str, float]:
    """Seconds and memory above those of one store, in a process of its own."""
    code = f"from bench import program; program.report({stores})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def report(stores: int) -> None:
    """Print what so many stores cost above one."""
    perene_program(configuration(1))
    memory, start = peak_kilobytes(), time.process_time()
    perene_program(configuration(stores))
    cost: dict[str, Any] = {"seconds": time.process_time() - start, "kilobytes": peak_kilobytes() - memory}
    sys.stdout.write(json.dumps(cost))


def peak_kilobytes() -> int:
    """The most memory that this process has held. (getrusage would count the parent's: its peak survives fork and exec.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])
