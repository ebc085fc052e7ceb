"""Value types shared by configuration and documents: sizes, durations, times of day. Pure; no pydantic."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SIZE = re.compile(r"(\d{1,9})(MiB|GiB|TiB|MB|GB|TB)")
_UNIT = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d) ([A-Za-z_]+(?:/[A-Za-z_+\-0-9]+)*)")


@dataclass(frozen=True)
class Size:
    """A size with its unit as written: binary (`20GiB`) or decimal (`100GB`)."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Size":
        """`100GiB` -> Size. ValueError on anything else (a bare number has no unit)."""
        match = _SIZE.fullmatch(text)
        if not match or int(match[1]) == 0:
            raise ValueError("a size is a whole number above 0 and a unit, like 20GiB (units: MiB GiB TiB MB GB TB)")
        return cls(int(match[1]), match[2])

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return self.amount * _UNIT[self.unit]

    @property
    def kubernetes(self) -> str:
        """The size as a Kubernetes quantity (`20Gi`, `100G`)."""
        return f"{self.amount}{self.unit.removesuffix('B')}"

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@dataclass(frozen=True)
class Duration:
    """A duration with one unit as written: `30d`, `1h`, `5s`, `250ms`."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """`30d` -> Duration. ValueError on anything else."""
        match = _DURATION.fullmatch(text)
        if not match or int(match[1]) == 0:
            raise ValueError("a duration is a whole number above 0 and a unit, like 30d (units: ms s m h d)")
        return cls(int(match[1]), match[2])

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return self.amount * _SECONDS[self.unit]

    @property
    def milliseconds(self) -> int:
        """The duration in milliseconds."""
        return round(self.seconds * 1000)

    @property
    def timedelta(self) -> timedelta:
        """The duration as a timedelta."""
        return timedelta(seconds=self.seconds)

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@dataclass(frozen=True)
class TimeOfDay:
    """A local time of day with its IANA zone: `03:00 America/Sao_Paulo`."""

    hour: int
    minute: int
    zone: str

    @classmethod
    def parse(cls, text: str) -> "TimeOfDay":
        """`"03:00 America/Sao_Paulo"` -> TimeOfDay. ValueError on anything else or an unknown zone."""
        match = _TIME.fullmatch(text)
        if not match:
            raise ValueError('a time is quoted, with its zone, like "03:00 America/Sao_Paulo"')
        if not _is_zone(match[3]):
            if not _is_zone("UTC"):
                raise ValueError(f"no time zone data on this machine, so {match[3]!r} cannot be read: pip install tzdata")
            raise ValueError(f"{match[3]!r} is not a known time zone")
        return cls(int(match[1]), int(match[2]), match[3])

    @property
    def utc_minutes(self) -> int:
        """Minutes after midnight UTC, by the zone's standard offset in 2026 (a clock is never read)."""
        zone = ZoneInfo(self.zone)
        samples = (datetime(2026, month, 1, 12, tzinfo=UTC).astimezone(zone) for month in (1, 7))
        offset = min((moment.utcoffset() or timedelta()) - (moment.dst() or timedelta()) for moment in samples)
        return (self.hour * 60 + self.minute - int(offset.total_seconds() // 60)) % 1440

    @property
    def utc(self) -> str:
        """`HH:MM` in UTC."""
        return f"{self.utc_minutes // 60:02d}:{self.utc_minutes % 60:02d}"

    @property
    def cron(self) -> str:
        """Minute and hour of a daily cron line in the zone itself: `0 3 * * *`."""
        return f"{self.minute} {self.hour} * * *"

    def __str__(self) -> str:
        return f"{self.hour:02d}:{self.minute:02d} {self.zone}"
