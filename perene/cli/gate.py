"""`perene gate`: what a previewed change does to data."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import gate, reading, report, waivers
from perene.safety import state as states
from perene.safety.drills import proven_drills

app = typer.Typer(add_completion=False)


@app.command()
def command(
    preview: Annotated[
        Path, typer.Argument(help="pulumi preview --json --show-replacement-steps --show-sames, or an event log, or steps.json")
    ],
    *,
    state: Annotated[Path | None, typer.Option(help="pulumi stack export: shows what a preview hides")] = None,
    engine_exit: Annotated[int, typer.Option(help="exit code of the preview: other than 0 it is a part only")] = 0,
    now: Annotated[str, typer.Option(help="the moment against which dates count, like 2026-11-24T12:00:00Z")] = "",
    waived: Annotated[Path | None, typer.Option("--waivers", help="directory of waivers")] = None,
    keys: Annotated[Path | None, typer.Option(help="directory of the approvers' public keys")] = None,
    drills: Annotated[Path | None, typer.Option(help="directory of drill records: when each store was last proven")] = None,
    drill_key: Annotated[Path | None, typer.Option(help="public key of the drills; left out: keys/STACK.pub")] = None,
    form: Annotated[Literal["text", "json", "markdown"], typer.Option("--format", help="how to print")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
) -> None:
    """Judge every step: SAFE, DISRUPTIVE, WEAKENS or LOSES-DATA, with the reason and the way out."""
    moment = moment_of(now)
    exported = states.read_state(state) if state else None
    document = reading.read_steps(preview)
    if engine_exit:
        document = document.model_copy(update={"failed": True})
    proven = proven_drills(drills, document.stack, drill_key or Path("keys", f"{document.stack}.pub")) if drills else {}
    verdict = gate.judge(document, now=moment, state=exported, proven=proven)
    if waived:
        verdict = waivers.apply(verdict, waivers.read(waived, keys), moment)
    typer.echo(
        {"text": report.terminal, "markdown": report.markdown}.get("json" if as_json else form, lambda each: each.to_json())(verdict),
        nl=False,
    )
    raise typer.Exit(verdict.exit_code)


def moment_of(text: str) -> datetime:
    """The moment in an option, or the current time. PereneError (exit 2) when it is none."""
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PereneError(
            f"{text!r} is no time", where="--now", fix="write it like 2026-11-24T12:00:00Z", exit_code=ExitCode.USAGE
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
