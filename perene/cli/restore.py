"""`perene restore SET`: bring a set back beside what is there or in its place, compare it, and name the differences."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import sets
from perene.backup.progress import Stages
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources, terminal
from perene.contract.drill import StoreResult
from perene.contract.tier import TierDocument
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import crosscheck, in_place, run
from perene.restore.in_cluster import run as run_job
from perene.restore.in_cluster import stopped as applications_stopped_for
from perene.restore.job import wrong

app = typer.Typer(add_completion=False, help="Bring a recovery set back into a new place or in the place of the live data, and compare it.")
Stopped = Annotated[bool, typer.Option("--applications-stopped", help="say that no application uses the stores")]


@app.command()
def main(
    ctx: typer.Context,
    set_id: Annotated[str, typer.Argument(help="a set, or `newest`")] = "",
    *,
    store: Annotated[str | None, typer.Option(help="only this store")] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(help="a new directory (files, Redis), http://HOST:PORT (Qdrant), postgresql://USER@HOST:PORT?sslrootcert=FILE"),
    ] = None,
    work: Annotated[Path | None, typer.Option(help="a directory with room for the largest dump")] = None,
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    replace: Annotated[bool, typer.Option("--in-place", help="take the place of the live data, which is kept until --finish")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="remove what a restore in place has set aside")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="give a restore in place up: the old data is live again")] = False,
    confirm: Annotated[str | None, typer.Option(help="the name that is asked for, instead of typing it")] = None,
    applications_stopped: Stopped = False,
    in_cluster: Annotated[bool, typer.Option("--in-cluster", help="run it as a Job of the tier, where repository and stores are")] = False,
    stop_applications: Annotated[
        bool, typer.Option("--stop-applications", help="with --in-cluster: scale what uses the stores to nothing while names are exchanged")
    ] = False,
    without_safety_backup: Annotated[list[str] | None, typer.Option(help="a store that is lost, so that it cannot be saved first")] = None,
    despite_differences: Annotated[
        bool, typer.Option("--despite-differences", help="exchange although the copy differs from the set")
    ] = False,
) -> None:
    """Databases come back as NAME__SETDATE on the same server. Exit 6 when anything differs."""
    if [bool(set_id), finish, abort].count(True) != 1:
        raise PereneError("name a set to restore (or `newest`), or --finish, or --abort", exit_code=ExitCode.USAGE)
    if replace and to:
        raise PereneError("--in-place and --to are two different places", exit_code=ExitCode.USAGE)
    document = read_tier(tier, namespace)
    if in_cluster or stop_applications:
        if not in_cluster or to or work:
            raise PereneError("--stop-applications needs --in-cluster, which takes neither --to nor --work", exit_code=ExitCode.USAGE)
        if (replace or finish) and confirm is None:
            confirm = terminal.typed(f"{document.stack}: type the store's name (the tier's where it is about several stores) to go on: ")
            if confirm not in ({store} if store else {document.stack, *document.stores}):
                raise PereneError(f"{confirm or 'nothing'} was given: nothing was touched", exit_code=ExitCode.CANNOT_TELL)
        given = {
            set_id: bool(set_id),
            f"--store={store}": bool(store),
            f"--confirm={confirm}": bool(confirm),
            "--in-place": replace,
            "--finish": finish,
            "--abort": abort,
            "--despite-differences": despite_differences,
            **{f"--without-safety-backup={name}": True for name in without_safety_backup or ()},
        }
        words = ["restore", *(word for word, said in given.items() if said)]
        wanted = [store] if store else list(document.stores)
        raise typer.Exit(_as_job(document.namespace, words, wanted, stop=stop_applications, stopped=applications_stopped))
    opened, stages, out = open_repository(document, url=repository), Stages(), Console(highlight=False, soft_wrap=True)
    order = in_place.Order(stopped=applications_stopped, unsaved=tuple(without_safety_backup or ()), despite=despite_differences)
    under_way = in_place.Run(document, opened, stages)
    if finish or abort:
        _end(under_way, order, repository, confirm, out, finish=finish)
        return
    place = work or Path(tempfile.gettempdir())
    crossing = ctx.with_resource(crosscheck.crossing(document.cross_checks, place))
    manifest, parts = sets.found(opened, under_way.chosen(set_id) if replace else set_id)
    planned = run.jobs(
        manifest,
        opened,
        stores=document.stores,
        only=store,
        work=place,
        stages=stages,
        to=tuple(to or ()),
        crossing=crossing,
        snapshots=parts,
    )
    if not planned:
        raise PereneError("the set holds no store", exit_code=ExitCode.CANNOT_TELL)
    jobs = {name: job for name, (_, job) in planned.items()}
    set_id = next(iter(jobs.values())).set_id
    if not replace:
        with record("restore", document, url=repository, subject=", ".join(jobs), set=set_id) as found:
            results = _crossed({name: restorer.beside(job) for name, (restorer, job) in planned.items()}, crossing, document)
            found["differing"] = _differing(results)
        raise typer.Exit(ExitCode.NOT_PROVEN if _shown(results, out) else ExitCode.DONE)
    terminal.confirmed(_name(document.stack, jobs), confirm, f"{set_id} takes the place of the live data of {', '.join(jobs)}.")
    with record("restore-in-place", document, url=repository, subject=", ".join(jobs), set=set_id) as found:
        results = under_way.restore(jobs, order)
        fitting = _crossed(results, crossing, document)
        found["differing"] = _differing(fitting)
    if _shown(results, out) and not order.despite:
        out.print("Nothing was exchanged: the live data is as it was, the copy lies beside it. `perene restore --abort` removes the copy.")
        raise typer.Exit(ExitCode.NOT_PROVEN)
    out.print(f"{set_id} is live. What was live before is kept: `perene restore --finish` removes it, `perene restore --abort` goes back.")
    if _shown({name: result for name, result in fitting.items() if result != results[name]}, out):
        raise typer.Exit(ExitCode.NOT_PROVEN)


def _crossed(results: Mapping[str, StoreResult], crossing: crosscheck.Crossing, tier: TierDocument) -> Mapping[str, StoreResult]:
    """With what no longer matches: what came back against the rest of it, or against the running tier where only one side came back."""
    crossing.take_live(tier.stores)
    return crossing.results(results, all_=False)


def _as_job(namespace: str, words: list[str], stores: list[str], *, stop: bool, stopped: bool) -> int:
    """As long as possible beside running applications: they are stopped only when the exchange waits for them."""
    code = run_job(namespace, [*words, *(["--applications-stopped"] if stopped else [])])
    if code == ExitCode.CANNOT_TELL and stop:
        with applications_stopped_for(namespace, stores, Stages()):
            code = run_job(namespace, [*words, "--applications-stopped"])
    return code


def _end(under_way: in_place.Run, order: in_place.Order, url: str | None, confirm: str | None, out: Console, *, finish: bool) -> None:
    journal = under_way.needed()
    if finish:
        terminal.confirmed(_name(under_way.tier.stack, journal.stores), confirm, f"What {journal.set} has replaced is removed for good.")
    operation = "restore-finish" if finish else "restore-abort"
    with record(operation, under_way.tier, url=url, subject=", ".join(journal.stores), set=journal.set):
        if finish:
            under_way.finish()
            done = "Finished: what was set aside is gone."
        elif under_way.abort(order):
            done = "The old data is live again. What was restored is kept: `perene restore --finish` removes it."
        else:
            done = "Given up: the live data was never touched, the copy is gone."
    out.print(done)


def _differing(results: Mapping[str, StoreResult]) -> str:
    return ", ".join(name for name, result in results.items() if wrong(result)) or "nothing"


def _name(stack: str, stores: Mapping[str, object]) -> str:
    """What a person types: the store's name, or the tier's where it is about several stores."""
    return next(iter(stores)) if len(stores) == 1 else stack


def _shown(results: Mapping[str, StoreResult], out: Console) -> bool:
    """Print what was found; whether anything is wrong."""
    for name, result in results.items():
        out.print(f"{name}: {'differs' if wrong(result) else 'the same as it was backed up'}, {result.seconds}", markup=False)
        for check in result.checks:
            out.print(f"  {check.count}: {check.found} rows", markup=False)
        for line in wrong(result):
            out.print(f"  {line}", markup=False)
    return any(wrong(result) for result in results.values())
