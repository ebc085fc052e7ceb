"""Judges a log entry by the part of Cloud Logging's filter language that the signals use: lines are joined by AND."""

import re
from typing import Any

_LINE = re.compile(r'(?P<not>NOT )?(?P<path>[A-Za-z_.]+)(?P<op>=~|=)(?P<value>"(?:[^"\\]|\\.)*"|\((?:.*)\))')


def _field(entry: dict[str, Any], path: str) -> str | None:
    found: Any = entry
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return str(found)


def _text(quoted: str) -> str:
    return quoted[1:-1].replace("\\\\", "\\")


def matches(filter_: str, entry: dict[str, Any]) -> bool:
    """Whether the entry is one that the filter finds. ValueError for a line that is outside the known part of the language."""
    for line in filter(None, (text.strip() for text in filter_.splitlines())):
        known = _LINE.fullmatch(line)
        if not known:
            raise ValueError(f"not understood: {line}")
        value = _field(entry, known["path"])
        if known["op"] == "=~":
            holds = value is not None and re.search(_text(known["value"]), value) is not None
        else:
            allowed = re.findall(r'"(?:[^"\\]|\\.)*"', known["value"])
            holds = value is not None and value in map(_text, allowed)
        if holds == bool(known["not"]):
            return False
    return True
