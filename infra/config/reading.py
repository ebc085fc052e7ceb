"""Reading a stack file so that YAML cannot surprise: what two YAML readers would read differently is refused, with its line."""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from perene.errors import Problem

# A plain (unquoted) scalar that matches is read as different things by different YAML readers: pattern, what it becomes, the fix.
TRAPS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?"),
        "a number in base 60 for some YAML readers",
        "put the time in quotes, with its zone",
    ),
    (
        re.compile(r"(?i:yes|no|on|off|y|n)"),
        "a boolean for some YAML readers and text for others",
        "write true or false, or quote the text",
    ),
    (re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), "a number for some YAML readers and text for others", "write the number out"),
    (
        re.compile(r"0[0-7_]+|0o[0-7]+|0x[0-9a-fA-F_]+|0b[01_]+"),
        "a number in another base for some YAML readers",
        "quote it, or write it out",
    ),
    (re.compile(r"[-+]?\d+(_\d+)+(\.\d+)?"), "a number for some YAML readers and text for others", "leave the underscores out"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "no finite number", "write a number"),
)
_BOOL = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_INT, _FLOAT = re.compile(r"[-+]?(0|[1-9]\d*)"), re.compile(r"[-+]?\d+\.\d+")


@dataclass(frozen=True)
class _Path:
    """Where a node stands in the document, as a person reads it: `config.perene:tier.stores.main`."""

    parts: tuple[str, ...] = ()

    def __truediv__(self, part: object) -> "_Path":
        return _Path((*self.parts, str(part)))

    def __str__(self) -> str:
        return ".".join(self.parts) or "the whole file"


def read(text: str, where: str) -> tuple[dict[str, Any], list[Problem]]:
    """Read YAML text into plain values by YAML 1.2's core rules; dates stay text.

    Returns the values and every problem found. `where` names the file.
    """
    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as broken:
        line = _line(broken.problem_mark)
        tab = "\t" in text.splitlines()[line - 1] if line <= len(text.splitlines()) else False
        why = "there is a tab in this line, and YAML is indented by spaces only" if tab else str(broken.problem)
        return {}, [
            Problem(what="is no valid YAML", where=f"{where}, line {line}", why=why, fix="indent by two spaces, close what is open")
        ]
    problems = [
        Problem(
            what="anchors and aliases (& and *) are not accepted",
            where=f"{where}, line {_line(event.start_mark)}",
            why="a value that stands elsewhere is overlooked in a review",
            fix="write the value out where it is used",
        )
        for event in events
        if isinstance(event, yaml.AliasEvent) or (isinstance(event, yaml.NodeEvent) and event.anchor)
    ]
    if problems:
        return {}, problems
    value = _value(node, _Path(), where, problems) if node else None
    if not isinstance(value, dict):
        problems.append(Problem(what="must hold keys and values", where=where, fix="start it with `config:`"))
        return {}, problems
    return value, problems


def _line(mark: Any) -> int:  # the C and the Python reader have each a Mark class of their own
    return mark.line + 1 if mark else 1


def _value(node: yaml.Node, path: _Path, where: str, problems: list[Problem]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node, path, where, problems))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, path / index, where, problems) for index, item in enumerate(node.value)]
    return _scalar(node, path, where, problems) if isinstance(node, yaml.ScalarNode) else None


def _pairs(node: yaml.MappingNode, path: _Path, where: str, problems: list[Problem]) -> Iterator[tuple[Hashable, Any]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), _line(key_node.start_mark)
        if key in seen:
            problems.append(
                Problem(
                    what=f"the key stands twice (first in line {seen[key]})",
                    where=f"{where}, line {line}: {path / key}",
                    why="YAML readers keep one of the two without a word",
                    fix="remove one of them",
                )
            )
        seen[key] = line
        yield key, _value(value_node, path / key, where, problems)


def _scalar(node: yaml.ScalarNode, path: _Path, where: str, problems: list[Problem]) -> Any:
    text = str(node.value)
    if node.style is not None:
        return text
    for pattern, why, fix in TRAPS:
        if pattern.fullmatch(text):
            problems.append(
                Problem(
                    what=f"the unquoted value is {why}",
                    where=f"{where}, line {_line(node.start_mark)}: {path}",
                    why="what you see is not what every reader takes it for",
                    fix=fix,
                )
            )
            return text
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
