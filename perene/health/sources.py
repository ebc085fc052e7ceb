"""Where the evidence comes from: manifests, drill records and seals as JSON documents that the jobs leave beside the repository.

Whoever watches needs no password of the repository. Only the fields that are told on are read; a document that cannot be read makes the
whole evidence unreadable, never shorter.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perene.backup.lock import NAME as WRITER
from perene.backup.places import Place, existing
from perene.contract.tier import TierDocument
from perene.contract.values import Duration
from perene.health.facts import DrillFact, Evidence, SetFact, seal_of
from perene.health.states import moment

Json = Mapping[str, Any]
BESIDE = "evidence/"
LOCKS = "locks/"


def set_fact(manifest: Json) -> SetFact:
    """What is told of a recovery set's manifest."""
    started, finished = moment(manifest["started"]), moment(manifest["finished"])
    parts = [part["bytes"] for store in manifest["stores"].values() for part in store["parts"]]
    seal = seal_of(bytes.fromhex(manifest["key"]["sentinel"])) if manifest.get("key") else ""
    stores = tuple(manifest["stores"])
    every = Duration.parse(manifest.get("every", "1d")).seconds
    return SetFact(
        id=manifest["id"],
        finished=finished,
        bytes=sum(parts),
        seconds=finished - started,
        stores=stores,
        key=seal,
        every=every,
        reason=manifest.get("reason", ""),
    )


def drill_fact(record: Json) -> DrillFact:
    """What is told of a drill record."""
    return DrillFact(
        set=record["set"],
        source=record["source"],
        finished=moment(record["finished"]),
        passed=record["verdict"] == "passed",
        rto=record["rto_seconds"],
        rto_goal=record["rto_goal_seconds"],
        rpo=record["rpo_seconds"],
        rpo_goal=record["rpo_goal_seconds"],
        bytes=record["bytes"],
        reasons=tuple(record["reasons"]),
        key_opened=record.get("key_opened"),
    )


# kind of document (its directory) -> what is kept of it
FACTS: Mapping[str, Callable[[Json], Any]] = {
    "sets": set_fact,
    "drills": drill_fact,
    "sealed": lambda seal: moment(seal["finished"]),
    "removed": lambda removal: removal["set"],
}


@dataclass
class Reader:
    """Reads the evidence of a tier at each call. A document never changes once it is there, so each is read once.

    open: the place; below: the prefix of the documents in it; clock: seconds, for the age of locks, which is counted from when this reader
    first saw one: a living run renews restic's locks under other names, and the writer's lock names its run.
    """

    open: Callable[[TierDocument], Place]
    below: str = BESIDE
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[str, Any]] = field(default_factory=dict)
    _locks: dict[str, float] = field(default_factory=dict)

    def __call__(self, tier: TierDocument) -> Evidence:
        """The evidence of the tier's stack; documents of others are left out."""
        try:
            place = self.open(tier)
            found = {kind: self._facts(place, kind, tier.stack) for kind in FACTS}
            if self.below and found["sets"] and place.read("config") is None:
                return Evidence(problem="it has held sets, and its configuration is gone")
            age = self._lock_age(place) if self.below else 0.0
        except Exception as failed:  # noqa: BLE001 - whatever a cloud's client throws, the evidence could not be read
            return Evidence(problem=f"{type(failed).__name__}: {failed}")
        removed = frozenset(found["removed"])
        return Evidence(
            sets=tuple(replace(one, on_hand=one.id not in removed) for one in found["sets"]),
            drills=tuple(found["drills"]),
            sealed=max(found["sealed"], default=None),
            lock_age=age,
        )

    def _facts(self, place: Place, kind: str, stack: str) -> list[Any]:
        names = [name for name in place.names(f"{self.below}{kind}/") if name.endswith(".json")]
        for name in names:
            if name not in self._known:
                document = json.loads(place.read(name) or b"")
                self._known[name] = (document["stack"], FACTS[kind](document))
        return [fact for owner, fact in (self._known[name] for name in names) if owner == stack]

    def _lock_age(self, place: Place) -> float:
        """Seconds for which the oldest lock has been seen; 0 without one."""
        now = self.clock()
        held = {_holder(place, name) for name in place.names(LOCKS)}
        self._locks = {lock: self._locks.get(lock, now) for lock in held}
        return max((now - since for since in self._locks.values()), default=0.0)


def _holder(place: Place, name: str) -> str:
    return json.loads(place.read(WRITER) or b"{}").get("run", name) if name == WRITER else name


def repository() -> Reader:
    """Reads beside the tier's own repository. PereneError never: what cannot be read is told as the evidence's problem."""

    def opened(tier: TierDocument) -> Place:
        if tier.repository is None:
            raise FileNotFoundError("the tier declares no repository")
        return existing(tier.repository.url)

    return Reader(opened)


def directory(root: Path) -> Reader:
    """Reads the documents below a directory: a copy of what lies beside a repository."""
    return Reader(lambda _: existing(str(root)), below="")
