"""Environments side by side: which has which migration, and whether what they have is the same."""

from collections.abc import Mapping, Sequence

from perene.contract.migration import LedgerExport, MigrationStatus
from perene.migrate.scripts import Migration, digest


def compare(migrations: Sequence[Migration], ledgers: Mapping[str, LedgerExport]) -> MigrationStatus:
    """Compare ledgers with the directory and with each other. ledgers: environment -> its ledger, in the order of promotion."""
    files = {migration.version: migration for migration in migrations}
    versions = sorted({*files, *(row.version for ledger in ledgers.values() for row in ledger.applied)})
    rows: dict[str, dict[str, str]] = {}
    reasons: list[str] = []
    behind = diverged = False
    for version in versions:
        migration = files.get(version)
        label = migration.label if migration else f"{version:03d}"
        cells = {}
        for environment, ledger in ledgers.items():
            row = next((row for row in ledger.applied if row.version == version), None)
            if row is None:
                cells[environment], behind = "pending", True
            elif migration is None:
                cells[environment], diverged = "unknown", True
                reasons.append(f"{environment} has {version:03d}_{row.name}, and no file is there for it")
            elif (row.up_checksum, row.down_checksum) != (migration.up.checksum, migration.down.checksum):
                cells[environment], diverged = "changed", True
                reasons.append(
                    f"{environment} has {label} with another text (applied {row.applied_at[:10]} by {row.by} from {row.commit[:12]})"
                )
            else:
                cells[environment] = "applied"
        rows[label] = cells
    reasons += _overtaken(rows)
    return MigrationStatus(
        scripts=digest(migrations),
        environments=tuple(ledgers),
        rows=rows,
        verdict="diverged" if diverged else "behind" if behind else "equal",
        reasons=tuple(reasons),
    )


def _overtaken(rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A later environment that has what an earlier one lacks was not promoted to, but changed by hand."""
    return [
        f"{later} has {label}, and {earlier} before it does not"
        for label, cells in rows.items()
        for earlier, later in zip(cells, list(cells)[1:], strict=False)
        if cells[earlier] == "pending" and cells[later] != "pending"
    ]
