"""`perene repo`: make, check, list, seal and rewind the backup repository."""

import json
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import seal, sets
from perene.backup.places import open_place
from perene.backup.progress import Stages
from perene.backup.tier import open_repository, read_tier
from perene.cli import sources

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The backup repository.")


@app.command()
def init(tier: sources.Tier = None, namespace: sources.Namespace = None, repository: sources.Url = None) -> None:
    """Make the repository, once."""
    document = read_tier(tier, namespace)
    with record("repo-init", document, url=repository, subject="repository"):
        open_repository(document, url=repository).init()


@app.command("list")
def list_sets(
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    *,
    keys: Annotated[bool, typer.Option("--keys", help="as JSON: each set with the sentinels of the keys that it needs")] = False,
) -> None:
    """The whole sets on hand, oldest first."""
    document = read_tier(tier, namespace)
    opened = open_repository(document, url=repository)
    if keys:
        typer.echo(json.dumps({name: proof.model_dump(mode="json") for name, proof in sets.keys_needed(opened).items()}))
        return
    for one in sets.on_hand(opened.snapshots(), document.proof_key):
        about = ["proven" if one.proven else "unproven", *(["imported"] if one.imported else []), *([one.reason] if one.reason else [])]
        Console(highlight=False).print(f"{one.id}  {'  '.join(about)}")


@app.command()
def show(
    set_id: Annotated[str, typer.Argument(help="a set, or `newest`")] = "newest",
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """A set's manifest as one line of JSON."""
    found = sets.load(open_repository(read_tier(tier, namespace), url=repository), set_id)
    typer.echo(json.dumps(found.model_dump(mode="json")))


@app.command()
def check(
    subset: Annotated[str, typer.Option(help="how much of the data is read: 5%, 1/7")] = "5%",
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Verify the repository's structure and a part of its data."""
    open_repository(read_tier(tier, namespace), url=repository).check(subset)


@app.command("seal")
def seal_newest(tier: sources.Tier = None, namespace: sources.Namespace = None, repository: sources.Url = None) -> None:
    """Write the newest proven set to the sealed copy, once, for the escrow's recipient alone."""
    document = read_tier(tier, namespace)
    with record("seal", document, url=repository) as found:
        sealed, now = seal.seal(document, open_repository(document, url=repository), stages=Stages())
        found |= {"set": sealed.set, "place": sealed.place}
    size = "" if sealed.bytes is None else f", {sealed.bytes / 1e6:.1f} MB"
    Console(highlight=False, soft_wrap=True).print(
        f"{sealed.set} {'is sealed' if now else 'was sealed already'}: {sealed.name} in {sealed.place}{size}", markup=False
    )


@app.command()
def rewind(
    to: Annotated[str, typer.Option(help="a moment before the deletion, like 2026-11-24T01:00:00+00:00")],
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
) -> None:
    """Bring back what was deleted or overwritten since a time (S3 versions, GCS soft delete), then verify the repository."""
    document = read_tier(tier, namespace)
    opened = open_repository(document, url=repository)
    when = sources.moment(to, "--to")
    with record("repo-rewind", document, url=repository, subject="repository", to=when.isoformat()) as found:
        brought = open_place(opened.url).rewind(when)
        found["objects"] = str(len(brought))
    Console(highlight=False).print(f"{len(brought)} objects brought back")
    opened.check()
