"""Checklists around a change or a planned stop, which check themselves (systems.md D15, Q5); the rest is named as manual."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from perene.health import checks, lost, protection
from perene.health.kube import items
from perene.health.lost import Run
from perene.health.subject import Tier
from perene.health.verdict import Check, Finding, State, run

Phase = Literal["before", "during", "after"]
Answer = Literal["done", "open", "manual"]
# A person waits, but nobody was woken: pods are asked from inside too.
SECONDS = 20.0


@dataclass(frozen=True)
class Row:
    """One line. checks: names of what answers it (`*` stands for a store's name); none: a person answers, and `look` says where."""

    what: str
    checks: tuple[str, ...] = ()
    look: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row with its answer. found: what the checks said, worst first."""

    what: str
    answer: Answer
    found: tuple[Finding, ...] = ()
    look: str = ""


ROWS: Mapping[Phase, tuple[Row, ...]] = {
    "before": (
        Row("the tests of this very commit passed", look="CI, or `make test`"),
        Row("pending migrations were reviewed by somebody else", look="perene migrate plan, perene migrate rehearse"),
        Row("no migration is unfinished", ("migrations",)),
        Row("a recent backup exists, and one was restored and compared", ("backups",)),
        Row("the jobs that back up run", ("jobs",)),
        Row("monitoring is active", ("alerts", "exporter")),
        Row("every volume is there, mounted, writable, with room", ("volumes", "* in place")),
        Row("volumes are kept when the program or the application goes", ("kept", "guards")),
        Row("the encryption key is in place", ("key",), look="perene key check"),
    ),
    "during": (
        Row("pods are ready", ("pods",)),
        Row("servers answer, take writes, have connections left, and run no slow query", ("* answers",)),
        Row("the logs speak of no damage", ("* in place",)),
        Row("the application's error rate and response times are as before", look="its own dashboards"),
    ),
    "after": (
        Row("migrations are applied", ("migrations",)),
        Row("pods are ready, servers answer", ("pods", "* answers")),
        Row("every volume is still there and mounted", ("volumes", "* in place")),
        Row("backups go on", ("jobs", "backups")),
        Row("no alert fires", ("firing",), look="Prometheus (or name it with --prometheus)"),
        Row("what was changed was tried by hand", look="the application"),
        Row("documentation and runbooks say how it is now", look="docs/, the change itself"),
    ),
}


def checklist(tier: Tier, phase: Phase, inside: Run, firing: Callable[[], tuple[str, ...]] | None = None) -> list[Line]:
    """Every row of a phase, in its order. inside: runs a command in a container; firing: names of alerts that fire, None: not asked."""
    table = _table(tier, inside, firing)
    wanted = {name: check for name, check in table.items() if any(_fits(row, name) for row in ROWS[phase])}
    # Each check's findings are kept by its name: a finding itself names what was looked at, not who looked.
    found: dict[str, list[Finding]] = {name: [] for name in wanted}

    def kept(name: str, check: Check) -> Check:
        def work() -> Iterator[Finding]:
            for one in check():
                found[name].append(one)
                yield one

        return work

    told = run({name: kept(name, check) for name, check in wanted.items()}, SECONDS)
    for one in told:
        if one.check in wanted and not found[one.check] and one.state is State.UNKNOWN:
            found[one.check].append(one)
    return [_line(row, {name: ones for name, ones in found.items() if _fits(row, name)}) for row in ROWS[phase]]


def _line(row: Row, found: Mapping[str, list[Finding]]) -> Line:
    findings = tuple(sorted((one for ones in found.values() for one in ones), key=lambda one: -one.state))
    if not findings:
        return Line(what=row.what, answer="manual", look=row.look)
    return Line(what=row.what, answer="open" if findings[0].state >= State.UNKNOWN else "done", found=findings)


def _fits(row: Row, name: str) -> bool:
    return any(name.endswith(wanted[1:]) if wanted.startswith("*") else name == wanted for wanted in row.checks)


def _table(tier: Tier, inside: Run, firing: Callable[[], tuple[str, ...]] | None) -> dict[str, Check]:
    table = checks.checks(tier) | protection.watching(tier)
    table |= {f"{name} in place": check for name, check in lost.diagnosis(tier, inside).items()}
    table |= {"migrations": lambda: _migrations(tier), "kept": lambda: _kept(tier)}
    return table | ({"firing": lambda: _firing(firing)} if firing else {})


def _migrations(tier: Tier) -> Iterator[Finding]:
    jobs = [job for job in items(tier.api, tier.path("jobs", "/apis/batch/v1")) if "-migrate-" in job["metadata"]["name"]]
    for job in jobs:
        name, status = job["metadata"]["name"], job.get("status", {})
        logs = f"kubectl -n {tier.document.namespace} logs job/{name}"
        good = bool(status.get("succeeded"))
        what = f"{name} {'is applied' if good else 'has failed' if status.get('failed') else 'has not ended'}"
        yield Finding(state=State.FINE if good else State.BAD, check="migrations", what=what, next="" if good else logs)
    if not jobs:
        yield Finding(state=State.FINE, check="migrations", what="the tier declares none")


def _kept(tier: Tier) -> Iterator[Finding]:
    claims = {store.volume.claim for store in tier.document.stores.values() if store.volume}
    for volume in items(tier.api, "/api/v1/persistentvolumes"):
        claim = volume["spec"].get("claimRef") or {}
        if claim.get("namespace") == tier.document.namespace and claim.get("name") in claims:
            kept, name = volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain", volume["metadata"]["name"]
            # A dev tier is allowed to: it says so, and an ordinary stop deletes no claim.
            state = State.FINE if kept else State.BAD if tier.document.guarded else State.WARNING
            next_ = f'kubectl patch pv {name} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\''
            what = f"{claim['name']} is {'kept' if kept else 'deleted with its claim'}"
            yield Finding(state=state, check="kept", what=what, next="" if kept else next_)


def _firing(firing: Callable[[], tuple[str, ...]]) -> Iterator[Finding]:
    names = firing()
    what = f"firing: {', '.join(names)}" if names else "none fires"
    yield Finding(state=State.BAD if names else State.FINE, check="firing", what=what, next="see docs/runbooks" if names else "")
