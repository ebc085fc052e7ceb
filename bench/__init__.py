"""Benchmarks: every claim about speed or size as a ratio against the plain tool, measured in the same run."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured claim.

    what: what was measured, with the size of the input; against: what it is compared with; measured and plain: in `unit`;
    promised: the highest ratio measured/plain that keeps the promise (None: shown only).
    """

    what: str
    against: str
    measured: float
    plain: float
    unit: str
    promised: float | None = None

    @property
    def ratio(self) -> float:
        """measured / plain."""
        return self.measured / self.plain

    @property
    def kept(self) -> bool:
        """Whether the promise holds."""
        return self.promised is None or self.ratio <= self.promised
