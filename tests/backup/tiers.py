"""A tier document for tests: one PostgreSQL, perhaps files, a repository on a volume."""

from pathlib import Path

from perene.backup.postgres.server import Server
from perene.contract.tier import (
    BackupPlan,
    Check,
    Goals,
    Login,
    PostgresEndpoint,
    Repository,
    SecretRef,
    Store,
    StoreBackup,
    TierDocument,
    Volume,
)

LOGICAL = StoreBackup(ways=("logical",))
GOALS = Goals(rpo="24h", rto="1h")


def tier(
    repository: str,
    *,
    server: Server | None = None,
    databases: tuple[str, ...] = (),
    files: Path | None = None,
    checks: tuple[Check, ...] = (),
) -> TierDocument:
    stores = {}
    if server:
        stores["main"] = Store(
            kind="postgres",
            generation=1,
            version="17",
            endpoint=PostgresEndpoint(host=server.host, port=server.port),
            databases=dict.fromkeys(databases, ("public",)),
            logins={"admin": Login(user=server.user)},
            rights={"admin": "admin"},
            backup=LOGICAL,
            goals=GOALS,
            checks=checks,
            guarded=False,
        )
    if files:
        volume = Volume(claim="data", size="1GiB", storage_class="x", mount_path=str(files))
        stores["uploads"] = Store(
            kind="files", generation=1, version="", endpoint=None, volume=volume, backup=LOGICAL, goals=GOALS, guarded=False
        )
    return TierDocument(
        stack="test",
        system="test",
        environment="dev",
        owner="o@x.example",
        guarded=False,
        namespace="test",
        stores=stores,
        repository=Repository(
            kind="volume", url=repository, password=SecretRef(vault="kubernetes", scope="test", name="perene-restic", key="password")
        ),
        backups=BackupPlan(at="01:00 America/Sao_Paulo", keep={"daily": 7, "weekly": 4}, drill_every="1d"),
    )
