"""Named comparisons of a property's old and new value. What cannot be compared counts as the dangerous answer."""

import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from perene.safety.schedules import longest_gap_days


class _Missing:
    def __repr__(self) -> str:
        return "(not declared)"


MISSING = _Missing()
MASKS = ("[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9", "[unknown]")
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_UNITS = {"": 1.0, "s": 1, "m": 60, "h": 3600, "d": 86400, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_UNITS |= {f"{letter}i": 2.0 ** (10 * power) for power, letter in enumerate("KMGTP", 1)}


def number(value: Any) -> float | None:
    """A number, also from `"7"`, `"2592000s"`, `"20Gi"`, `"POSTGRES_16"`; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.rsplit("_", 1)[-1] if value.startswith(("POSTGRES_", "MYSQL_")) else value
    match = _QUANTITY.fullmatch(text.strip())
    return float(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else None


def truth(value: Any) -> bool | None:
    """A switch, also from `"on"`, `"Enabled"`; None when it is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "on", "enabled", "yes"}:
        return True
    if (
        value is MISSING
        or value is None
        or (isinstance(value, str) and value.lower() in {"false", "off", "disabled", "suspended", "no", ""})
    ):
        return False
    return None


def _lowered(old: Any, new: Any) -> bool:
    before, after = number(old), number(new)
    return old is not MISSING if before is None or after is None else after < before


def _raised(old: Any, new: Any) -> bool:
    before, after = number(old), number(new)
    return new is not MISSING if before is None or after is None else after > before


def _off(old: Any, new: Any) -> bool:
    before, after = truth(old), truth(new)
    return True if before is None or after is None else before and not after


def _on(old: Any, new: Any) -> bool:
    before, after = truth(old), truth(new)
    return True if before is None or after is None else after and not before


def _limit_lowered(old: Any, new: Any) -> bool:
    """0 or nothing means no limit."""
    unlimited = float("inf")
    before, after = (unlimited if value in (MISSING, None) else number(value) for value in (old, new))
    if before is None or after is None:
        return True
    return (after or unlimited) < (before or unlimited)


def _items(value: Any) -> list[Any] | None:
    if value is MISSING or value is None:
        return []
    return value if isinstance(value, list) else None


def _plain(value: Any) -> Any:
    """A value without the provider's bookkeeping, comparable by `repr`."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in sorted(value.items()) if not key.startswith("__")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _lost_items(old: Any, new: Any) -> bool:
    before, after = _items(old), _items(new)
    if before is None or after is None:
        return True
    kept = [repr(_plain(item)) for item in after]
    return any(repr(_plain(item)) not in kept for item in before)


def _new_items(old: Any, new: Any) -> bool:
    return _lost_items(new, old)


def _emptied(old: Any, new: Any) -> bool:
    before, after = _items(old), _items(new)
    return True if before is None or after is None else bool(before) and not after


def _deletes_earlier(old: Any, new: Any) -> bool:
    """Lifecycle rules: a rule that deletes is new, or one deletes earlier or more than before. Fewer or later deletes are harmless."""
    before, after = _items(old), _items(new)
    if before is None or after is None:
        return True
    old_deletes, new_deletes = [rule for rule in map(_plain, before) if _deletes(rule)], [r for r in map(_plain, after) if _deletes(r)]
    return any(not any(_no_earlier(new_rule, old_rule) for old_rule in old_deletes) for new_rule in new_deletes)


def _deletes(rule: Any) -> bool:
    if not isinstance(rule, dict):
        return True
    if "action" in rule:
        action = rule["action"]
        kind = action.get("type") if isinstance(action, dict) else None
        return kind not in {"SetStorageClass", "AbortIncompleteMultipartUpload"}
    disabled = truth(rule.get("status", True)) is False
    only_uploads = set(rule) <= {"id", "status", "filter", "prefix", "abortIncompleteMultipartUpload", "transitions"}
    return not disabled and not only_uploads


_WAITS = {"age", "days", "noncurrentDays", "daysSinceNoncurrentTime", "daysSinceCustomTime", "numNewerVersions", "newerNoncurrentVersions"}


def _no_earlier(new: Any, old: Any) -> bool:
    """Whether `new` is `old` with longer or equal waits."""
    if isinstance(new, dict) and isinstance(old, dict):
        return set(new) == set(old) and all(
            (number(new[key]) is not None and number(old[key]) is not None and not _lowered(old[key], new[key]))
            if key in _WAITS
            else _no_earlier(new[key], old[key])
            for key in new
        )
    return repr(new) == repr(old)


def _rarer(old: Any, new: Any) -> bool:
    before, after = longest_gap_days(old), longest_gap_days(new)
    return True if after is None else before is not None and after > before


def _risky_flags(old: Any, new: Any) -> bool:
    """Database flags that trade durability for speed."""
    before, after = _items(old), _items(new)
    if before is None or after is None:
        return True
    risky = {"fsync", "full_page_writes", "synchronous_commit", "zero_damaged_pages"}
    return any(isinstance(flag, dict) and flag.get("name") in risky and repr(_plain(flag)) not in repr(_plain(before)) for flag in after)


def _claims(value: Any) -> set[str] | None:
    volumes = _items(value)
    if volumes is None or not all(isinstance(volume, dict) for volume in volumes):
        return None
    return {
        repr(_plain({k: v for k, v in volume.items() if k in {"name", "persistentVolumeClaim"}}))
        for volume in volumes
        if "persistentVolumeClaim" in volume
    }


def _claims_changed(old: Any, new: Any) -> bool:
    before, after = _claims(old), _claims(new)
    return before is None or after is None or before != after


def _alerts(value: Any) -> dict[str, str] | None:
    groups = _items(value)
    if groups is None:
        return None
    found: dict[str, str] = {}
    for group in groups:
        rules = _items(group.get("rules")) if isinstance(group, dict) else None
        if rules is None or not all(isinstance(rule, dict) for rule in rules):
            return None
        found |= {
            str(rule["alert"]): repr(_plain({k: v for k, v in rule.items() if k != "annotations"})) for rule in rules if "alert" in rule
        }
    return found


def rule_groups(data: Any) -> list[Any]:
    """The groups of Prometheus rules in a ConfigMap's data, however many files it holds."""
    groups: list[Any] = []
    for text in data.values() if isinstance(data, dict) else []:
        if isinstance(text, str) and "groups" in text and "alert" in text:
            try:
                document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
            except (ValueError, yaml.YAMLError):
                document = None
            groups += document.get("groups") or [] if isinstance(document, dict) else []
    return groups


def _files_numbed(old: Any, new: Any) -> bool:
    return _alerts_numbed(rule_groups(old), rule_groups(new))


def _alerts_numbed(old: Any, new: Any) -> bool:
    before, after = _alerts(old), _alerts(new)
    return before is None or after is None or any(after.get(name) != rule for name, rule in before.items())


_FULL_ENOUGH = 0.9


def _condition_numbed(old: Any, new: Any) -> bool:
    """Whether one condition of a cloud alert fires later or on something else than before.

    A ratio may move up to 0.9 (a person still has time to act); any other threshold may only become stricter.
    """
    if not isinstance(old, dict) or not isinstance(new, dict) or set(old) != set(new):
        return True
    for name, before in old.items():
        after = new[name]
        if repr(before) == repr(after) or name in {"displayName", "name"}:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            if _condition_numbed(before, after):
                return True
        elif name == "thresholdValue":
            ratio = "utilization" in repr(new.get("filter")) and (number(after) or 1.0) <= _FULL_ENOUGH
            later = _raised(before, after) if new.get("comparison", "COMPARISON_GT") == "COMPARISON_GT" else _lowered(before, after)
            if later and not ratio:
                return True
        elif name in {"duration", "alignmentPeriod"}:
            if _raised(before, after):
                return True
        else:
            return True
    return False


def _thresholds_loosened(old: Any, new: Any) -> bool:
    before, after = _items(_plain(old)), _items(_plain(new))
    if before is None or after is None:
        return True
    return not after or len(before) > len(after) or any(_condition_numbed(*pair) for pair in zip(before, after, strict=False))


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "changed": lambda _old, _new: True,
    "lowered": _lowered,
    "raised": _raised,
    "off": _off,
    "on": _on,
    "limit lowered": _limit_lowered,
    "added": lambda old, _new: old is MISSING or old is None,
    "removed": lambda _old, new: new is MISSING or new is None,
    "set": lambda _old, new: new is not MISSING and new is not None,
    "items lost": _lost_items,
    "items added": _new_items,
    "emptied": _emptied,
    "deletes earlier": _deletes_earlier,
    "rarer": _rarer,
    "risky flags": _risky_flags,
    "claims changed": _claims_changed,
    "alerts numbed": _alerts_numbed,
    "files numbed": _files_numbed,
    "thresholds loosened": _thresholds_loosened,
}


def holds(test: str, old: Any, new: Any) -> bool:
    """Whether a comparison fires. `leaves X` and `becomes X` compare with a word; a masked value always fires (nobody can look)."""
    if isinstance(old, str) and isinstance(new, str) and old == new and old in MASKS:
        return True
    verb, _, word = test.partition(" ")
    if verb == "leaves":
        return bool(old == word and new != word)
    if verb == "becomes":
        return bool(new == word or (word == "unset" and new is MISSING))
    return COMPARISONS[test](old, new)
