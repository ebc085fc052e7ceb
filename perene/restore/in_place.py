"""A restore in the place of the live data, over one store or all: save, restore next to it, compare, exchange, and keep the old.

Interrupted anywhere, the old data is live or the new, and the same command goes on from the journal. Nothing that was live is removed
before a person says `finish`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from perene.backup import lock
from perene.backup.places import open_place
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import SAFETY, make_set
from perene.contract.drill import StoreResult
from perene.contract.restore import Phase, RestoreJournal
from perene.contract.tier import Store, StoreBackup, TierDocument
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.restore import journal as journals
from perene.restore.job import InPlace, Job, Target, wrong
from perene.restore.run import RESTORERS

Opened = dict[str, InPlace]
# Kinds of stores that say who uses them.
TELLING = {"postgres", "cloud-sql"}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person has said.

    stopped: no application uses the stores (needed for several stores at once, and for files, which do not tell who uses them);
    unsaved: stores that are lost, so that no safety backup of them is taken; despite: exchange although something differs.
    """

    stopped: bool = False
    unsaved: tuple[str, ...] = ()
    despite: bool = False


class Run:
    """A tier's restore in place, to be begun or under way. journal: None while there is none."""

    def __init__(self, tier: TierDocument, repository: Repository, stages: Stages) -> None:
        self.tier, self.repository, self.stages = tier, repository, stages
        self.place = open_place(repository.url)
        self.journal = journals.read(self.place)

    def chosen(self, set_id: str) -> str:
        """The set to restore: what was asked for, or what is being restored already. PereneError (exit 3) when these are two."""
        if self.journal is None or set_id in {"newest", self.journal.set}:
            return self.journal.set if self.journal else set_id
        raise self._under_way("no other can begin")

    def restore(self, jobs: Mapping[str, Job], order: Order) -> dict[str, StoreResult]:
        """Begin, or go on. Where something differs, that is in the results and nothing was exchanged."""
        journal = self.journal or self._first(jobs, order)
        if journal.phase in {"returning", "returned"} or set(journal.stores) != set(jobs):
            raise self._under_way(f"it is of {', '.join(journal.stores)} and was last {journal.phase}")
        results: dict[str, StoreResult] = {}
        with self._opened(journal) as stores:
            if journal.phase in {"saving", "restoring"}:
                live = {name: store.look(jobs[name].kept) for name, store in stores.items()}
                journal = self._saved(journal, live, order)
            with lock.writer(self.place, "restore", self.stages):
                if journal.phase == "restoring":
                    results = {name: store.prepare(jobs[name]) for name, store in stores.items()}
                    if any(wrong(result) for result in results.values()) and not order.despite:
                        return results
                    journal = self._write(journal, "compared")
                if journal.phase in {"compared", "exchanging"}:
                    self._unused(stores, order)
                    journal = self._write(journal, "exchanging")
                    for name, store in stores.items():
                        with self.stages.stage("exchange", name):
                            store.exchange()
                    self._write(journal, "exchanged")
        return results

    def abort(self, order: Order) -> bool:
        """Give up: before the exchange what was restored is removed, after it the old data becomes live again. Whether it was exchanged."""
        journal = self.needed()
        with self._opened(journal) as stores, lock.writer(self.place, "restore", self.stages):
            if journal.phase in journals.BEFORE_EXCHANGE:
                self._finish(stores)
                return False
            if journal.phase != "returned":
                self._unused(stores, order)
                journal = self._write(journal, "returning")
                for name, store in stores.items():
                    with self.stages.stage("return", name):
                        store.back()
                self._write(journal, "returned")
        return True

    def finish(self) -> None:
        """Remove what is set aside."""
        journal = self.needed()
        if journal.phase not in {"exchanged", "returned"}:
            raise self._under_way(f"it was last {journal.phase}, and only what was exchanged can be finished")
        with self._opened(journal) as stores, lock.writer(self.place, "restore", self.stages):
            self._finish(stores)

    def _first(self, jobs: Mapping[str, Job], order: Order) -> RestoreJournal:
        strange = sorted(set(order.unsaved) - set(jobs))
        if strange:
            raise PereneError(f"{', '.join(strange)} is not restored: there is no safety backup to leave out", exit_code=ExitCode.USAGE)
        return RestoreJournal(
            set=next(iter(jobs.values())).set_id,
            stores={name: tuple(part.name for part in job.kept.parts) for name, job in jobs.items()},
            began=datetime.now(UTC).isoformat(timespec="seconds"),
            phase="saving",
            unsaved=order.unsaved,
        )

    def _saved(self, journal: RestoreJournal, live: Mapping[str, Store | None], order: Order) -> RestoreJournal:
        """The journal once a safety backup of all that is live was taken, and every byte of it was read back."""
        if journal.phase != "saving":
            return journal
        if self.journal is None:
            journals.begin(self.place, journal)
        wanted = {name: store for name, store in live.items() if store is not None and name not in order.unsaved}
        for name in live.keys() - wanted.keys():
            self.stages.note(f"no safety backup of {name}: {'as was said' if name in order.unsaved else 'nothing of it is there any more'}")
        if not wanted:
            return self._write(journal, "restoring")
        logical = StoreBackup(ways=("logical",))
        stores = {name: store.model_copy(update={"backup": logical}) for name, store in wanted.items()}
        try:
            made = make_set(
                self.tier.model_copy(update={"stores": stores}), self.repository, stages=self.stages, reason=SAFETY, with_canary=False
            )
            for snapshot in self.repository.snapshots(set=made.id):
                with self.stages.stage("verify", snapshot.path):
                    self.repository.read_back(snapshot)
        except PereneError as failure:
            raise PereneError(
                problems=[
                    *failure.problems,
                    Problem(
                        what="no safety backup could be taken, so nothing was restored",
                        why="a restore that begins by destroying has lost everything when it fails",
                        fix="mend what is named above; for a store whose data is lost already: --without-safety-backup STORE",
                    ),
                ],
                exit_code=ExitCode.CANNOT_TELL,
            ) from None
        return self._write(journal.model_copy(update={"safety": made.id}), "restoring")

    def _unused(self, stores: Opened, order: Order) -> None:
        """PereneError (exit 3) when anything still uses the stores."""
        using = [f"{name}: {line}" for name, store in stores.items() for line in store.in_use()]
        silent = len(stores) > 1 or any(self.tier.stores[name].kind not in TELLING for name in stores)
        if not using and (order.stopped or not silent):
            return
        raise PereneError(
            "in use: " + "; ".join(using) if using else f"nobody has said that no application uses {', '.join(stores)}",
            why="an application would write into what is set aside, or see one store old and another new",
            fix="stop the applications (in the cluster: --stop-applications), then give the same command again"
            + (" with --applications-stopped" if silent else "")
            + ": it goes on from here",
            exit_code=ExitCode.CANNOT_TELL,
        )

    def _finish(self, stores: Opened) -> None:
        for name, store in stores.items():
            with self.stages.stage("remove", name):
                store.finish()
        journals.remove(self.place)

    @contextmanager
    def _opened(self, journal: RestoreJournal) -> Iterator[Opened]:
        with ExitStack() as stack:
            opened: Opened = {}
            for name, parts in journal.stores.items():
                live = self.tier.stores[name]
                way = RESTORERS[live.kind].in_place
                if way is None:
                    raise PereneError(
                        f"{live.kind} cannot be restored in place",
                        where=name,
                        fix="restore it beside the live data, and move the application over",
                        exit_code=ExitCode.CANNOT_TELL,
                    )
                opened[name] = stack.enter_context(way(Target(name=name, live=live, set_id=journal.set, parts=parts)))
            yield opened

    def _write(self, journal: RestoreJournal, phase: Phase) -> RestoreJournal:
        with self.stages.stage("journal", phase):
            self.journal = journal.model_copy(update={"phase": phase})
            journals.write(self.place, self.journal)
        return self.journal

    def needed(self) -> RestoreJournal:
        """The journal. PereneError (exit 3) when no restore is under way."""
        if self.journal is None:
            raise PereneError("no restore in place is under way", where=self.repository.url, exit_code=ExitCode.CANNOT_TELL)
        return self.journal

    def _under_way(self, why: str) -> PereneError:
        return PereneError(
            f"a restore in place of {self.journal.set if self.journal else 'a set'} is under way",
            where=self.repository.url,
            why=why,
            fix="go on with the same command as before, or `perene restore --abort`, or `perene restore --finish`",
            exit_code=ExitCode.CANNOT_TELL,
        )
