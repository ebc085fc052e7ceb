"""`perene rebuild NAME`: make anew what has no backup of its own."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup.postgres.server import reach
from perene.backup.progress import Stages
from perene.backup.tier import login_with, read_tier
from perene.cli import sources
from perene.contract.tier import FacesRebuild, PostgresEndpoint, TierDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.rebuild import command, faces, sealed

app = typer.Typer(add_completion=False, help="Make anew what has no backup of its own: a face collection, collections by a set-up command.")
out = Console(soft_wrap=True, highlight=False)


@app.command()
def main(
    name: Annotated[str, typer.Argument(help="what `rebuild:` of the configuration calls it")],
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    json: sources.Json = False,
) -> None:
    """What is there already is skipped: after an interruption the same command goes on. Exit 6 when it is not whole at the end."""
    document = read_tier(tier, namespace)
    settings = document.rebuild.get(name)
    if settings is None:
        known = ", ".join(document.rebuild) or "nothing"
        raise PereneError(f"the tier rebuilds no {name}", fix=f"it rebuilds: {known}", exit_code=ExitCode.USAGE)
    with record("rebuild", document, subject=name) as found:
        if isinstance(settings, FacesRebuild):
            report = _faces(document, settings)
            found |= {"rows": str(report.rows), "added": str(report.added), "failed": str(len(report.failed))}
        else:
            seconds = command.rebuild(settings, Path.cwd())
            out.print("everything is there: nothing to do" if seconds is None else f"made in {seconds:.1f} s, and checked", markup=False)
            return
    if json:
        out.print_json(data=vars(report))
    else:
        out.print(
            f"{report.rows} photos: {report.before} were indexed, {report.added} were added, {len(report.failed)} failed", markup=False
        )
        for photo, why in report.failed.items():
            out.print(f"  {photo}: {why}", markup=False)
        for face in report.strangers:
            out.print(f"  {face} is in the collection and in no row", markup=False)
    if not report.enough(settings.at_least):
        raise typer.Exit(ExitCode.NOT_PROVEN)


def _faces(document: TierDocument, settings: FacesRebuild) -> faces.Report:
    store = document.stores[settings.store]
    if document.encryption_key is None or not isinstance(store.endpoint, PostgresEndpoint):
        raise PereneError("the tier has no key, or no such PostgreSQL", where=settings.store, exit_code=ExitCode.CANNOT_TELL)
    open_ = sealed.opener(sealed.keys_of(document.encryption_key))
    with reach(store.endpoint, login_with(store, settings.store, "read-only", "read-write", "admin")) as server:
        photos, ids = faces.table(server, settings)
        service = faces.client(settings.region)
        return faces.Collection(service=service, id=settings.collection, open_=open_, stages=Stages()).rebuild(photos, ids)
