"""Where the evidence comes from: the manifests of recovery sets and the drill records, as JSON documents of a directory.

The jobs put a copy of each beside the repository (`sets/`, `drills/`, `sealed/`), so that whoever watches needs no password of the
repository. Only the fields that are told on are read; a document that cannot be read makes the whole evidence unreadable, never shorter.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from perene.contract.tier import TierDocument
from perene.health.facts import DrillFact, Evidence, SetFact
from perene.health.states import moment

Json = Mapping[str, Any]


def set_fact(manifest: Json) -> SetFact:
    """What is told of a recovery set's manifest."""
    started, finished = moment(manifest["started"]), moment(manifest["finished"])
    parts = [part["bytes"] for store in manifest["stores"].values() for part in store["parts"]]
    return SetFact(id=manifest["id"], finished=finished, bytes=sum(parts), seconds=finished - started, stores=tuple(manifest["stores"]))


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
    )


def evidence_from(
    sets: Iterable[Json], drills: Iterable[Json], *, stack: str, sealed: float | None = None, lock_age: float = 0
) -> Evidence:
    """The evidence of one stack; documents of others are left out."""
    return Evidence(
        sets=tuple(set_fact(one) for one in sets if one["stack"] == stack),
        drills=tuple(drill_fact(one) for one in drills if one["stack"] == stack),
        sealed=sealed,
        lock_age=lock_age,
    )


def directory(root: Path) -> Callable[[TierDocument], Evidence]:
    """Reads the documents below `root` each time it is asked."""

    def documents(kind: str) -> list[Json]:
        return [json.loads(path.read_bytes()) for path in sorted((root / kind).glob("*.json"))]

    def read(tier: TierDocument) -> Evidence:
        try:
            if not root.is_dir():
                return Evidence(problem=f"{root} is not there")
            sealed = [moment(one["finished"]) for one in documents("sealed")]
            return evidence_from(documents("sets"), documents("drills"), stack=tier.stack, sealed=max(sealed, default=None))
        except (OSError, ValueError, KeyError, TypeError) as damaged:
            return Evidence(problem=f"{root}: {type(damaged).__name__}: {damaged}")

    return read
