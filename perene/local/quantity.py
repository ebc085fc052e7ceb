"""Kubernetes' quantities of storage as whole bytes."""

import math
import re
from decimal import Decimal

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_BINARY, _DECIMAL = ("Ki", "Mi", "Gi", "Ti", "Pi"), ("k", "M", "G", "T", "P")
_POWERS = {unit: 1024**power for power, unit in enumerate(_BINARY, 1)} | {unit: 1000**power for power, unit in enumerate(_DECIMAL, 1)}
FACTOR: dict[str, int] = {"": 1, **_POWERS}


def to_bytes(text: str) -> int:
    """`1.5Gi` -> 1610612736, rounded up. ValueError on anything else."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError(f"not a quantity of storage: {text!r} (like 20Gi or 100G)")
    return math.ceil(Decimal(match[1]) * FACTOR[match[2] or ""])


def of_bytes(size: int) -> str:
    """The shortest exact quantity: the largest binary unit that divides it."""
    for unit in reversed(_BINARY):
        if size and size % FACTOR[unit] == 0:
            return f"{size // FACTOR[unit]}{unit}"
    return str(size)
