"""What the policy server hands over, as plain trees: its proxies are neither dict nor list, and raise on a value that is not known yet."""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy.proxy import UnknownValueError

UNKNOWN = "[unknown]"


def plain(value: Any) -> Any:
    """The same tree of dicts and lists, with `[unknown]` where a value is known only after the update.

    Without this one unknown value would end a mandatory rule with an advisory, and the preview would pass.
    """
    if isinstance(value, Mapping):
        return {key: _known(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_known(value, index) for index in range(len(value))]
    return value


def _known(tree: Any, key: Any) -> Any:
    try:
        return plain(tree[key])
    except UnknownValueError:
        return UNKNOWN
