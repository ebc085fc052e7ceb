"""One store's part of a restore, and what every kind of store needs for it."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from perene.backup.progress import Stages
from perene.backup.repository import Repository, Snapshot
from perene.contract.drill import CheckResult, DamageResult, Difference, StoreResult
from perene.contract.recovery_set import StoreSet
from perene.contract.tier import Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore.crosscheck import Crossing

# What is fetched and what is restored from it lie side by side for a while; a tenth more for what a file system takes.
MARGIN = 1.1


@dataclass(frozen=True, kw_only=True)
class Job:
    """A store to be brought back.

    kept: what the set holds of it; live: the store as the tier has it; work: a directory with room for the largest part;
    to: other places that were named, a directory or a server's URI (without a password); turn: which damage a drill does to its own copy
    after the comparison, None for none; crossing: takes from what came back what is compared with other stores; listed: the store's
    snapshots by path, where they were listed already.
    """

    name: str
    kept: StoreSet
    live: Store
    set_id: str
    repository: Repository
    work: Path
    stages: Stages
    to: tuple[str, ...] = ()
    turn: int | None = None
    crossing: Crossing = field(default_factory=lambda: Crossing({}, Path()))
    listed: Mapping[str, Snapshot] = field(default_factory=dict)

    def snapshot(self, path: str) -> Snapshot:
        """A part of this store in the repository, by its path. PereneError (exit 3) when there is none."""
        return self.listed.get(path) or self.repository.find(path, set=self.set_id, store=self.name)

    @property
    def directory(self) -> Path | None:
        """The directory among the places that were named."""
        return next((Path(one) for one in self.to if "://" not in one), None)

    @property
    def stamp(self) -> str:
        """The set's time as it is put into names: `20261124t010000z`."""
        return self.set_id.split("-")[0].lower()


@dataclass(frozen=True, kw_only=True)
class Target:
    """A live store of which a set is to take the place. parts: its databases, or whatever is restored by name."""

    name: str
    live: Store
    set_id: str
    parts: tuple[str, ...]


class InPlace(Protocol):
    """A restore in the place of the live data: next to it first, then exchanged, what was live being kept until `finish`.

    Every step looks at what is there and may be run again after it was killed anywhere; nothing but `finish` removes.
    """

    def look(self, kept: StoreSet) -> Store | None:
        """What of the live store a safety backup can save; None where nothing is left. PereneError when something is in the way."""

    def prepare(self, job: Job) -> StoreResult:
        """Restore next to the live data, and compare."""

    def in_use(self) -> list[str]:
        """Who else uses the live data now, a line each, as far as the store can tell."""

    def exchange(self) -> None:
        """What was restored becomes live, the live data is set aside."""

    def back(self) -> None:
        """The other way round."""

    def finish(self) -> None:
        """Remove what is set aside, or what was restored and not exchanged."""


@dataclass
class Outcome:
    """What a restorer finds out on its way."""

    differences: list[Difference] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    damage: DamageResult | None = None
    not_compared: tuple[str, ...] = ()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time until the end to a stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - begin

    def result(self, size: int) -> StoreResult:
        """The outcome of a store of so many bytes."""
        seconds = {stage: round(value, 3) for stage, value in self.seconds.items()}
        return StoreResult(
            differences=tuple(self.differences),
            checks=tuple(self.checks),
            seconds=seconds,
            bytes=size,
            damage=self.damage,
            not_compared=self.not_compared,
        )


def is_server(place: str) -> bool:
    """Whether a named place is a PostgreSQL server; else it is a directory."""
    return place.startswith(("postgresql://", "postgres://"))


def wrong(result: StoreResult) -> list[str]:
    """What keeps a restore from being as it was backed up, a line each: differences, and configured counts that are not reached."""
    short = [check for check in result.checks if check.found < check.at_least]
    return [
        *map(str, result.differences),
        *(f"{check.count} has {check.found} rows, at least {check.at_least} are wanted" for check in short),
    ]


def room_for(size: int, folder: Path) -> None:
    """PereneError (exit 3) when a file of this size would not fit."""
    free = shutil.disk_usage(folder).free
    if free < size * MARGIN:
        raise PereneError(
            f"{size * MARGIN / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free",
            where=str(folder),
            why="a full disk would stop the restore half-way",
            fix="name a directory with more room (--work for what is fetched, --to for what is restored)",
            exit_code=ExitCode.CANNOT_TELL,
        )
