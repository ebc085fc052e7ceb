"""`perene apply`: exactly what was approved, or nothing."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from perene.audit.operation import record
from perene.engine import approved, stacks
from perene.engine.change import Stack
from perene.engine.tier import tier_of
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import promotion_evidence, report

app = typer.Typer(add_completion=False)


@app.command()
def command(
    plan: Annotated[Path, typer.Argument(help="the signed plan of perene approve")],
    *,
    waived: Annotated[Path, typer.Option("--waivers", help="directory of waivers")] = Path("waivers"),
    keys: Annotated[Path, typer.Option(help="public keys of who may sign")] = Path("keys"),
) -> None:
    """Check the signature, preview again, refuse when anything moved, take a restore point, apply."""
    now = datetime.now(UTC)
    stack = Stack(stacks.project_root(), promotion_evidence.read_approval(plan, keys).stack)
    verdict = approved.judged(stack, now, waived, keys)
    typer.echo(report.terminal(verdict), nl=False, err=True)
    tier, first = approved.audited_as(stack), not approved.has_data(stack)
    with record("apply", tier, subject=verdict.effect, first=first, waived=approved.waived(verdict)) as found:
        approval = approved.apply(stack, plan, keys, verdict, now=now, restore_point=restore_point)
        found |= {"commit": approval.commit, "approver": approval.approver}
    typer.echo(f"applied {approval.commit[:12]} in {approval.stack}, approved by {approval.approver}")


def restore_point(stack: str) -> None:
    """A recovery set of the stack's tier, now. PereneError (exit 3) when none was made."""
    words = ["backup", "--namespace", tier_of(stacks.project_root(), stack).namespace]
    done = subprocess.run([sys.executable, "-m", "perene", *words], check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise PereneError(
            f"no restore point could be made (perene backup ended with {done.returncode})",
            where=stack,
            why="a change of a guarded stack without a way back is not applied",
            fix="mend the backup first",
            exit_code=ExitCode.CANNOT_TELL,
        )
