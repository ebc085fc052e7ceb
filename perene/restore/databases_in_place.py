"""A PostgreSQL store in the place of the live one: `NAME__new` beside `NAME`, names exchanged in one transaction, `NAME__old` kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from perene.backup.postgres.server import Server
from perene.contract.drill import StoreResult
from perene.contract.recovery_set import StoreSet
from perene.contract.tier import Store
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import databases, names, postgres, timescale
from perene.restore.job import Job, Target
from perene.restore.marks import ADMINISTRATION, Mark, marks, named, set_comment


@contextmanager
def open_store(target: Target) -> Iterator["Databases"]:
    """The store's server, as its administrator."""
    with databases.administered(target.name, target.live) as server:
        yield Databases(server, target)


@dataclass(frozen=True)
class Databases:
    """See `perene.restore.job.InPlace`."""

    server: Server
    target: Target

    def look(self, kept: StoreSet) -> Store | None:
        """Refuses what is left of another restore, open prepared transactions, and a server without room for the copies."""
        with self._admin() as admin:
            found = self._marks(admin)
            foreign = [
                name
                for one in self.target.parts
                for name in (names.new(one), names.old(one))
                if name in found and not self._ours(found[name])
            ]
            if foreign:
                raise PereneError(
                    f"{', '.join(foreign)} is there, and not of this restore",
                    where=self.target.name,
                    why="a restore needs these names, and never writes over anything",
                    fix="finish the other restore, or rename or remove the database yourself",
                    exit_code=ExitCode.CANNOT_TELL,
                )
            waiting = names.prepared(admin, self.target.parts)
            if waiting:
                raise PereneError(
                    f"prepared transactions are open: {', '.join(waiting)}",
                    where=self.target.name,
                    why="a database's name cannot change while one is",
                    fix="COMMIT PREPARED or ROLLBACK PREPARED each of them",
                    exit_code=ExitCode.CANNOT_TELL,
                )
            todo = [one for one in self.target.parts if found.get(names.new(one), Mark("", "")).state != "complete"]
            self._room(admin, kept, [one for one in todo if not self._restored(found, one)])
        live = {one: self.target.live.databases.get(one, ()) for one in self.target.parts if one in found}
        return self.target.live.model_copy(update={"databases": live}) if live else None

    def prepare(self, job: Job) -> StoreResult:
        """Each database as `NAME__new`; one that is complete already is only compared."""
        with self._admin() as admin:
            found = self._marks(admin)
        complete = frozenset(one for one in self.target.parts if found.get(names.new(one), Mark("", "")).state == "complete")
        return databases.into(self.server, job, names.new, complete=complete)

    def in_use(self) -> list[str]:
        """Sessions other than ours and those of dumps."""
        dumping = [self.target.live.logins[user].user for user, right in self.target.live.rights.items() if right == "dump"]
        return names.sessions(self.server, self.target.parts, dumping)

    def exchange(self) -> None:
        """In one transaction for all databases of the store."""
        with self._admin() as admin:
            found = self._marks(admin)
        moves = []
        for one in self.target.parts:
            if self._restored(found, one):
                continue
            before = found.get(one)
            if before:
                moves.append((one, names.old(one), str(Mark(self.target.set_id, "replaced", before.text))))
            moves.append((names.new(one), one, str(Mark(self.target.set_id, "restored", before.text if before else ""))))
        names.rename(self.server, moves)

    def back(self) -> None:
        """What was written since the exchange stays in `NAME__new`. Where nothing was live before, what was restored stays live."""
        with self._admin() as admin:
            found = self._marks(admin)
        moves = []
        for one in self.target.parts:
            if self._restored(found, one) and names.old(one) in found:
                moves.append((one, names.new(one), str(Mark(self.target.set_id, "returned", found[one].text))))
                moves.append((names.old(one), one, found[names.old(one)].text))
        names.rename(self.server, moves)

    def finish(self) -> None:
        """Drop what is set aside; the live databases get their own comments again, and TimescaleDB's jobs there wake up."""
        with self._admin() as admin, named(self.target.name):
            for name, mark in self._marks(admin).items():
                if self._ours(mark) and name in self.target.parts:
                    timescale.wake(self.server, name)
                    set_comment(admin, name, mark.text)
                elif self._ours(mark):
                    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for one in self.target.parts:
                postgres.clear(admin, names.new(one))

    def _room(self, admin: psycopg.Connection[tuple[object, ...]], kept: StoreSet, todo: list[str]) -> None:
        postgres.room_on(admin, postgres.size_of(kept, todo), self.target.name)

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        return self.server.connect(ADMINISTRATION, autocommit=True)

    def _marks(self, admin: psycopg.Connection[tuple[object, ...]]) -> dict[str, Mark]:
        return marks(admin, [name for one in self.target.parts for name in (one, names.new(one), names.old(one))])

    def _ours(self, mark: Mark) -> bool:
        return mark.set_id == self.target.set_id

    def _restored(self, found: dict[str, Mark], one: str) -> bool:
        return one in found and self._ours(found[one]) and found[one].state == "restored"
