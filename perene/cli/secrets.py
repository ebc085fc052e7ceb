"""`perene secrets init|check|restore STACK`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.contract.tier import TierDocument
from perene.custody import escrow as escrows
from perene.custody import init
from perene.custody.cluster_secrets import ClusterSecrets
from perene.custody.needed import needed
from perene.custody.vaults import Vaults
from perene.engine import stacks, target
from perene.engine.tier import tier_of
from perene.errors import PereneError
from perene.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What is secret in a tier: made once, never overwritten, escrowed.")
out = Console(soft_wrap=True, highlight=False)

Stack = Annotated[str, typer.Argument(help="the stack, like dev")]
Context = Annotated[str | None, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")]


@app.command("init")
def initialise(
    stack: Stack,
    escrow: Annotated[str | None, typer.Option(help="age recipient (age1...); default: keys/STACK.age.pub")] = None,
    context: Context = None,
) -> None:
    """Make what is missing. A second run changes nothing."""
    root = stacks.project_root()
    vault, tier = _vault(root, stack, context)
    with record("secrets-init", tier, subject="secrets", first=True) as found:
        report = init.initialise(vault, tier, root, escrow)
        found |= {"made": ", ".join(report.made) or "nothing", "escrowed": str(report.escrow_is_new)}
    for line in report_lines(report, stack):
        out.print(line, markup=False)


@app.command()
def check(stack: Stack, context: Context = None) -> None:
    """Say everything that is wrong with a tier's secrets; exit 3 when anything is."""
    vault, tier = _vault(stacks.project_root(), stack, context)
    problems = init.problems(vault, tier)
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    out.print(f"{len(needed(tier))} secrets of {stack}: all there, complete, and the key opens its sentinel", markup=False)


@app.command()
def restore(
    stack: Stack,
    file: Annotated[Path, typer.Argument(help="escrow file")],
    identity: Annotated[Path, typer.Option(help="file with the age identity (AGE-SECRET-KEY-1...)")],
    context: Context = None,
) -> None:
    """Put back from an escrow what is missing; what exists stays as it is."""
    root = stacks.project_root()
    vault, tier = _vault(root, stack, context)
    with record("secrets-restore", tier, subject="secrets", first=True, file=file.name) as found:
        report = init.restore(vault, tier, root, escrows.read(file, identity))
        found["made"] = ", ".join(report.made) or "nothing"
    out.print(f"put back: {', '.join(report.made) or 'nothing'}; untouched: {', '.join(report.kept) or 'nothing'}", markup=False)


def report_lines(report: init.Report, stack: str) -> list[str]:
    """What a run did, for people."""
    lines = [
        f"made {len(report.made)}: {', '.join(report.made)}" if report.made else f"nothing to do: all {len(report.kept)} secrets exist"
    ]
    if report.escrow is None:
        lines.append(f"NOTHING IS ESCROWED: if this cluster is lost, so is every secret of {stack} (give --escrow age1..., see age-keygen)")
    elif report.escrow_is_new:
        lines.append(f"escrowed to {report.escrow}: move a copy to where the identity is")
    return lines


def _vault(root: Path, stack: str, context: str | None) -> tuple[Vaults, TierDocument]:
    tier = tier_of(root, stack)
    where = target.adopt_context(root, stack, context) if context else target.of_stack(root, stack)
    client = where.client()
    client.ready()
    return Vaults(ClusterSecrets(client, stack, tier.namespace)), tier
