"""`perene drill`: restore a set somewhere else, compare it, and sign what was found."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import sets
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.backup.run import publish
from perene.backup.seal import sealed_place
from perene.backup.tier import login_with, open_repository, read_tier
from perene.cli import sources
from perene.contract.drill import DrillRecord
from perene.contract.tier import TierDocument
from perene.custody.resolve import key_of, resolve
from perene.drill.run import drill
from perene.drill.sealed import brought
from perene.errors import PereneError
from perene.exit_codes import ExitCode

app = typer.Typer(add_completion=False, help="Restore a set into a scratch PostgreSQL, compare it, damage a canary, sign the record.")


@app.command()
def main(
    set_id: Annotated[str, typer.Argument(help="a set, or `newest`")] = "newest",
    *,
    source: Annotated[
        Literal["set", "sealed", "pitr"], typer.Option("--from", help="the repository, the sealed copy alone, or a clone of Cloud SQL")
    ] = "set",
    identity: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="for the sealed copy: the age identity file")] = None,
    store: Annotated[str, typer.Option(help="for pitr: which store, where several have it")] = "",
    at: Annotated[str, typer.Option(help="for pitr: a moment like 2026-11-24T01:00:00+00:00; left out: the newest that can be")] = "",
    sealed: Annotated[str, typer.Option(help="another address of the sealed copy; with it no tier document is needed")] = "",
    tier: sources.Tier = None,
    namespace: sources.Namespace = None,
    repository: sources.Url = None,
    work: sources.Work = None,
    json: sources.Json = False,
) -> None:
    """Exit 6 when the set does not come back whole, the key does not open, a goal is missed, or damage goes unnoticed."""
    stages, place = Stages(), work or Path(tempfile.gettempdir())
    document = None if source == "sealed" and sealed and not (tier or namespace) else read_tier(tier, namespace)
    subject = document or f"the tier sealed in {sealed}"
    with record("drill", subject, url=repository, set=set_id, source=source) as found:
        if source == "sealed":
            proof = _sealed(document, sealed, identity, wanted=set_id, work=place, stages=stages)
        elif source == "pitr" and document:
            proof = _pitr(document, open_repository(document, url=repository), wanted=set_id, store=store, at=at, stages=stages)
        elif document:
            proof = drill(
                document,
                open_repository(document, url=repository),
                set_id=set_id,
                key=lambda generation: _key(document, generation),
                signing_key=_signing_key(document),
                work=place,
                stages=stages,
            )
        found |= {"set": proof.set, "verdict": proof.verdict}
    _tell(proof, json=json)


def _sealed(document: TierDocument | None, address: str, identity: Path | None, *, wanted: str, work: Path, stages: Stages) -> DrillRecord:
    if identity is None:
        raise PereneError("the sealed copy opens with its recipient's identity", fix="--identity FILE", exit_code=ExitCode.USAGE)
    begin, now = time.monotonic(), datetime.now(UTC)
    place = sealed_place(document) if document and not address else address
    with brought(place, identity, wanted=wanted, work=work, stages=stages) as (manifest, repository):
        # Without the cluster, the archive itself says what the tier was.
        known = document or manifest.tier
        return drill(
            known,
            repository,
            set_id=manifest.id,
            key=lambda generation: _key(known, generation),
            signing_key=_signing_key(known),
            work=work,
            stages=stages,
            now=now,
            source="sealed",
            evidence=open_repository(document) if document else None,
            fetched=time.monotonic() - begin,
        )


def _pitr(document: TierDocument, repository: Repository, *, wanted: str, store: str, at: str, stages: Stages) -> DrillRecord:
    having = [name for name, one in document.stores.items() if "pitr" in one.backup.ways and store in {"", name}]
    if len(having) != 1:
        raise PereneError("which store?", why=f"with point-in-time recovery: {', '.join(having)}", fix="--store", exit_code=ExitCode.USAGE)
    from perene.backup.cloud_sql import SqlAdmin  # noqa: PLC0415 - a cloud's SDK costs a second to import
    from perene.custody.google_session import session  # noqa: PLC0415
    from perene.drill import pitr  # noqa: PLC0415

    acting = session()
    proof = pitr.drill(
        document,
        having[0],
        sets.load(repository, wanted),
        admin=SqlAdmin(session=acting),
        reach=pitr.by_token(login_with(document.stores[having[0]], having[0], "dump", "admin"), acting),
        signing_key=_signing_key(document),
        stages=stages,
        to=sources.moment(at, "--at") if at else None,
    )
    publish(repository, "drills", f"pitr-{having[0]}-{proof.started}", proof)
    return proof


def _key(document: TierDocument, generation: int) -> bytes:
    if document.encryption_key is None:
        raise PereneError("the tier has no encryption key, and the set needs one", where=document.stack, exit_code=ExitCode.CANNOT_TELL)
    return key_of(document.encryption_key, generation)


def _signing_key(document: TierDocument) -> bytes:
    if document.signing is None:
        raise PereneError(
            "the tier document names no signing key",
            why="an unsigned record proves nothing",
            fix="bring the tier up again",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return resolve(document.signing)


def _tell(proof: DrillRecord, *, json: bool) -> None:
    if json:
        typer.echo(proof.to_json(), nl=False)
    else:
        out = Console(highlight=False, soft_wrap=True)
        out.print(
            f"drill of {proof.set}: {proof.verdict}, {proof.bytes / 1e6:.1f} MB restored and compared in {proof.rto_seconds} s",
            markup=False,
        )
        for reason in proof.reasons:
            out.print(f"  {reason}", markup=False)
        if proof.damage:
            out.print(f"  damage on purpose ({proof.damage.kind}): {proof.damage.found_by or 'NOT NOTICED'}", markup=False)
    if proof.verdict != "passed":
        raise typer.Exit(ExitCode.NOT_PROVEN)
