"""A directory of migrations: `001_tables.up.sql` and `001_tables.down.sql`, each with a header of `-- key: value` lines."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from perene.contract.values import Duration
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.migrate.sql import Statement, parse

FILE = re.compile(r"(\d{1,18})_([a-z0-9][a-z0-9_]{0,80})\.(up|down)\.sql")
_HEADER_LINE = re.compile(r"--\s*([a-z-]+):\s*(.+?)\s*")
REVERTS = ("keeps-data", "loses-data", "impossible")
# key: what its value must be. The header stands at the top of a script; `compatible` says which versions of the application
# run correctly with the schema that the script leaves behind, so that an up and its down each have their own.
HEADER = {
    "description": "a sentence",
    "phase": "expand or contract",
    "compatible": "versions, like >=1.2, <3",
    "revert": "keeps-data, or `loses-data: why`, or `impossible: why`",
    "statement-timeout": "a duration, like 10m",
    "blocked-limit": "a duration, like 5s",
}


@dataclass(frozen=True, kw_only=True)
class Script:
    """One SQL file. checksum: sha256 of its text with unix line ends."""

    path: str
    text: str
    header: dict[str, str] = field(default_factory=dict)

    @cached_property
    def checksum(self) -> str:
        """sha256, hex, 64 characters."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The parsed statements; PereneError when the file is not SQL."""
        try:
            return parse(self.text)
        except ValueError as error:
            raise PereneError(
                f"this is not SQL: {error}", where=self.path, fix="correct the statement", exit_code=ExitCode.CANNOT_TELL
            ) from None

    @property
    def transactional(self) -> bool:
        """Whether the whole script runs in one transaction together with its ledger row."""
        return not any(statement.concurrent for statement in self.statements)

    @property
    def compatible(self) -> SpecifierSet:
        """The application versions that run with the schema after this script."""
        return SpecifierSet(self.header.get("compatible", ""))

    def limit(self, key: str) -> Duration | None:
        """A duration from the header, None when it is not set."""
        return Duration.parse(self.header[key]) if key in self.header else None


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One version: what brings it in and what takes it out again."""

    version: int
    name: str
    up: Script
    down: Script

    @property
    def label(self) -> str:
        """`004_users_phone`."""
        return f"{self.version:03d}_{self.name}"

    @property
    def description(self) -> str:
        """The header's sentence."""
        return self.up.header["description"]

    @property
    def contracting(self) -> bool:
        """Whether it takes away what an older version of the application may use."""
        return self.up.header.get("phase", "expand") == "contract"

    @property
    def revert(self) -> tuple[str, str]:
        """(`keeps-data` | `loses-data` | `impossible`, why)."""
        kind, _, why = self.up.header.get("revert", "keeps-data").partition(":")
        return kind.strip(), why.strip()


def digest(migrations: Iterable[Migration]) -> str:
    """One sha256 over versions, names and both checksums in order: the identity of exactly these scripts."""
    lines = [f"{m.version} {m.name} {m.up.checksum} {m.down.checksum}\n" for m in migrations]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load(directory: Path) -> tuple[Migration, ...]:
    """Read every migration of a directory in order. PereneError with all problems: names, duplicates, missing halves, headers."""
    if not directory.is_dir():
        raise PereneError(
            "there is no such directory", where=str(directory), fix="name the directory of the SQL files", exit_code=ExitCode.USAGE
        )
    problems: list[Problem] = []
    halves: dict[int, dict[str, Script]] = {}
    named: dict[int, set[str]] = {}
    for path in sorted(directory.iterdir()):
        match = FILE.fullmatch(path.name)
        if not match:
            if path.suffix == ".sql":
                problems.append(
                    Problem(
                        what="the name is no migration's",
                        where=str(path),
                        why="it would never run",
                        fix="call it NNN_name.up.sql or NNN_name.down.sql",
                    )
                )
            continue
        version = int(match[1])
        named.setdefault(version, set()).add(match[2])
        script, wrong = _read(path)
        problems += wrong
        if match[3] in halves.setdefault(version, {}):
            problems.append(
                Problem(what=f"version {version} has two {match[3]} files", where=str(path), fix="give the later one the next number")
            )
        halves[version][match[3]] = script
    migrations = []
    for version, found in sorted(halves.items()):
        where = str(directory / f"{version:03d}_{'|'.join(sorted(named[version]))}")
        if len(named[version]) > 1:
            problems.append(
                Problem(
                    what=f"version {version} has two names",
                    where=where,
                    why="their order is not defined",
                    fix="give the later one the next number",
                )
            )
        elif set(found) != {"up", "down"}:
            problems.append(
                Problem(
                    what=f"the {({'up', 'down'} - set(found)).pop()} file is missing",
                    where=where,
                    why="every change must be reversible or say that it is not",
                    fix="write it; when nothing can be reverted: only a comment, and `-- revert: impossible: why` in the up file",
                )
            )
        else:
            migration = Migration(version=version, name=named[version].copy().pop(), up=found["up"], down=found["down"])
            problems += _header_problems(migration)
            migrations.append(migration)
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    return tuple(migrations)


def _read(path: Path) -> tuple[Script, list[Problem]]:
    try:
        text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        return Script(path=str(path), text=""), [Problem(what=f"it cannot be read as UTF-8: {error}", where=str(path))]
    header: dict[str, str] = {}
    problems = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        match = _HEADER_LINE.fullmatch(line)
        if not match:
            continue
        if match[1] not in HEADER:
            problems.append(Problem(what=f"the header has no key {match[1]!r}", where=str(path), fix=f"keys: {', '.join(HEADER)}"))
        header[match[1]] = match[2]
    return Script(path=str(path), text=text, header=header), problems


def _header_problems(migration: Migration) -> list[Problem]:
    problems = []

    def wrong(script: Script, key: str) -> None:
        problems.append(Problem(what=f"{key}: {script.header.get(key, 'is missing')}", where=script.path, fix=f"-- {key}: {HEADER[key]}"))

    if "description" not in migration.up.header:
        wrong(migration.up, "description")
    if migration.up.header.get("phase", "expand") not in {"expand", "contract"}:
        wrong(migration.up, "phase")
    kind, why = migration.revert
    if kind not in REVERTS or (kind != "keeps-data" and not why):
        wrong(migration.up, "revert")
    if migration.contracting and "compatible" not in migration.up.header:
        problems.append(
            Problem(
                what="a contracting migration does not say which versions of the application run without what it takes away",
                where=migration.up.path,
                why="it would break the version that still runs",
                fix="-- compatible: >=2.0",
            )
        )
    for script in (migration.up, migration.down):
        try:
            _ = script.compatible
        except InvalidSpecifier:
            wrong(script, "compatible")
        for key in ("statement-timeout", "blocked-limit"):
            try:
                script.limit(key)
            except ValueError:
                wrong(script, key)
    return problems
