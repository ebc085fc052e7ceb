"""A store's versioned schema changes: a Job per database after the store and before the application, from files of the checkout."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi

from infra import naming
from infra.components.migrations import Migrations, MigrationsArgs
from infra.config.stores import CloudSql, Postgres
from infra.tier import Context
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# What an approved or a following environment must show, per stack, in git: see docs/migrations.md.
EVIDENCE = Path("evidence")
NEEDED = {"automatic": (), "after-dev": ("before.json",), "approved": ("rehearsal.json", "approval.json")}


def build(context: Context, name: str, store: Postgres | CloudSql, entry: Mapping[str, Any], waits_for: Sequence[pulumi.Resource]) -> None:
    """Declare the store's migration Jobs; none without the evidence that its mode needs (`perene migrate` says what is missing).

    Nothing is migrated any more in a generation that waits for its removal.
    """
    if store.migrations is None or store.generation != context.tier.stores[name].generation:
        return
    workload = naming.component(name, store.generation)
    user = next(user for user, right in store.users.items() if right == "ddl")
    login, endpoint = entry["logins"][user], entry["endpoint"]
    evidence = _files(EVIDENCE / context.stack, "*.json")
    if not set(NEEDED[store.migrations.mode]) <= set(evidence):
        return
    scripts = _files(Path(store.migrations.directory), "*.sql")
    if not scripts:
        raise PereneError(
            f"{store.migrations.directory} holds no *.sql",
            where=f"stores.{name}.migrations.directory",
            why="an application would start on tables that nobody has made",
            fix="write 001_NAME.up.sql and 001_NAME.down.sql there, or remove `migrations`",
            exit_code=ExitCode.CANNOT_TELL,
        )
    claim = _repository_claim(context) if store.migrations.mode == "approved" and not endpoint["connection_name"] else None
    source = f"cloud-sql:{endpoint['connection_name']}" if endpoint["connection_name"] else "sets:/repository" if claim else ""
    for database in store.databases:
        Migrations(
            f"{workload}-{database.replace('_', '-')}",
            MigrationsArgs(
                store=name,
                namespace=context.namespace,
                labels=context.labels,
                image=context.image("ops"),
                host=endpoint["host"],
                port=endpoint["port"],
                database=database,
                user=login["user"],
                scripts=scripts,
                approved=store.migrations.mode == "approved",
                after=store.migrations.mode == "after-dev",
                restore_point=source,
                repository_claim=claim,
                evidence=evidence,
                keys=approvers(Path("keys")),
                # The commit would make another Job of every commit; what was run is told by its content.
                commit=f"content {naming.digest(*scripts.values())}",
                application=context.tier.system,
                workload="" if endpoint["connection_name"] else workload,
                proxy=(context.image("proxy"), endpoint["connection_name"]) if endpoint["connection_name"] else None,
                service_account=login.get("service_account", ""),
                waits_for=tuple(waits_for),
            ),
            opts=context.options(),
        )


def approvers(directory: Path) -> dict[str, str]:
    """Public keys of people, who sign by their address -> PEM. Jobs have keys there too, and a job approves nothing."""
    return {name.removesuffix(".pub"): text for name, text in _files(directory, "*@*.pub").items()}


def _repository_claim(context: Context) -> str | None:
    """The repository's volume, beside which the newest sets are told; a bucket would take an identity that this Job has no need of."""
    kept = context.tier.backups.repository if context.tier.backups else None
    return naming.claim("repository") if kept and kept.kind == "volume" else None


def _files(directory: Path, pattern: str) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob(pattern))}
