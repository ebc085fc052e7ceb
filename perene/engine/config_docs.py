"""docs/configuration.md from the configuration's models: `python -m perene.engine.config_docs` writes it anew."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.config.base import Section
from infra.config.model import Tier
from perene.engine.stacks import project_root

PATH = Path("docs/configuration.md")
EXAMPLES = ("dev", "prod")
NAMES = {"int": "whole number", "float": "number", "str": "text", "bool": "`true` or `false`"}
LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
BAR = "\\|"
HEAD = """# Configuration

<!-- written by `python -m perene.engine.config_docs` from infra/config; do not edit -->

A tier is one value, `perene:tier`, in `Pulumi.<stack>.yaml`. Unknown fields are refused, and so is what two YAML readers would read
differently. All problems are told at once, each with its place, its reason and its remedy. Sizes, durations and times carry their unit.
Which fields may stand together is judged by the rules in infra/config/rules_*.py, whose messages say why.

A field is required unless a default is given; `-` means that it may be left out.
"""


def text() -> str:
    """The whole document, the same bytes for the same models."""
    root = Path(__file__).parents[2]
    return "\n".join([HEAD, *_sections(), *(_example(root, stack) for stack in EXAMPLES)]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    seen: set[type[Section]] = set()
    waiting: list[tuple[str, type[Section]]] = [("perene:tier", Tier)]
    while waiting:
        path, section = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        yield _table(path, section)
        below = [(_join(path, name, field), inner) for name, field in _fields(section) for inner in _inner(field.annotation)]
        waiting = below + waiting


def _join(path: str, name: str, field: Any) -> str:
    place = name if path == "perene:tier" else f"{path}.{name}"
    repeated = {dict: ".NAME", tuple: "[]"}.get(typing.get_origin(field.annotation), "")
    return f"{place}{repeated}"


def _fields(section: type[Section]) -> list[tuple[str, Any]]:
    return [(field.alias or name, field) for name, field in section.model_fields.items()]


def _table(path: str, section: type[Section]) -> str:
    rows = [
        f"| `{name}` | {_form(field.annotation, field.metadata)} | {_default(field)} | {(field.description or '').replace('|', BAR)} |"
        for name, field in _fields(section)
        if name != "kind"
    ]
    kind = _kind(section)
    title = f"## {path}" + (f", `kind: {kind}`" if kind else "")
    table = ["| field | holds | default | what it is |", "| --- | --- | --- | --- |", *rows] if rows else ["It has no field beside `kind`."]
    return "\n".join([f'<a id="{section.__name__.lower()}"></a>', "", title, "", (section.__doc__ or "").strip(), "", *table, ""])


def _example(root: Path, stack: str) -> str:
    file = f"Pulumi.{stack}.yaml"
    return f"## Example: {file}\n\n```yaml\n{(root / file).read_text(encoding='utf-8')}```\n"


def _default(field: Any) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default()
    if value is None or isinstance(value, Section):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        return f"`[{', '.join(map(str, value))}]`" if value else "none"
    return f"`{value}`"


def _form(annotation: Any, metadata: typing.Sequence[Any]) -> str:
    """What a value may look like: unit, range, allowed words, or the section that it holds."""
    shown = next((item.json_schema["description"] for item in metadata if hasattr(item, "json_schema")), None)
    bounds = _bounds(metadata)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if shown:
        base = str(shown)
    elif origin is typing.Annotated:
        return _form(arguments[0], (*arguments[1:], *metadata))
    elif origin is typing.Literal:
        base = ", ".join(f"`{word}`" for word in arguments)
    elif origin in {typing.Union, types.UnionType}:
        base = " or ".join(dict.fromkeys(_form(arm, ()) for arm in arguments if arm is not type(None)))
    elif origin is tuple:
        base = f"list of: {_form(arguments[0], ())}"
    elif origin is dict:
        base = f"map by name ({_form(arguments[0], ())}) of: {_form(arguments[1], ())}"
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        base = f"[{_kind(annotation) or annotation.__name__}](#{annotation.__name__.lower()})"
    else:
        base = NAMES[annotation.__name__]
    return f"{base}, {bounds}" if bounds else base


def _bounds(metadata: typing.Sequence[Any]) -> str:
    """`1 to 35`, `at least 1`, `above 0 and below 1`, `1 to 100 of them`, `like db-...`."""
    limits = {name: getattr(item, name) for item in metadata for name in LIMITS if getattr(item, name, None) is not None}
    words = []
    for low, high, unit in (("ge", "le", ""), ("min_length", "max_length", " of them")):
        if low in limits and high in limits:
            words.append(f"{limits[low]} to {limits[high]}{unit}")
        elif low in limits or high in limits:
            words.append(f"at least {limits[low]}{unit}" if low in limits else f"at most {limits[high]}{unit}")
    words += [f"{word} {limits[name]}" for name, word in (("gt", "above"), ("lt", "below")) if name in limits]
    words += [f"matching `{limits['pattern']}`"] if "pattern" in limits else []
    return ", ".join(words).replace("|", "\\|")


def _kind(section: type[Section]) -> str:
    return next((", ".join(map(str, typing.get_args(field.annotation))) for name, field in _fields(section) if name == "kind"), "")


def _inner(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _inner(argument)


def main() -> None:
    """Write the document of the project here."""
    (project_root() / PATH).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
