"""`perene checklist before|during|after STACK`."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from perene.cli import sources
from perene.cli.health import Context, Evidence, Namespace
from perene.cli.tier_of_cluster import running
from perene.engine.evidence import firing
from perene.exit_codes import ExitCode
from perene.health.checklist import Line, Phase, checklist
from perene.health.verdict import State

app = typer.Typer(add_completion=False, help="What must be true around a change or a stop: it checks itself.")


@app.command()
def main(
    phase: Annotated[Phase, typer.Argument(help="when")],
    stack: Annotated[str, typer.Argument(help="the tier, like dev")],
    *,
    namespace: Namespace = "",
    context: Context = "",
    evidence: Evidence = None,
    prometheus: Annotated[str, typer.Option(help="address of Prometheus, to ask after a change which alerts fire")] = "",
    as_json: sources.Json = False,
) -> None:
    """Exit 3 while something is open. What only a person knows is listed as manual, with where to look."""
    tier, api = running(stack, namespace=namespace, context=context, evidence=evidence)

    def inside(pod: str, container: str, command: list[str]) -> str:
        return api.run(tier.document.namespace, pod, container, command)

    lines = checklist(tier, phase, inside, (lambda: firing(prometheus, stack)) if prometheus else None)
    _tell(stack, phase, lines, as_json=as_json)


def _tell(stack: str, phase: Phase, lines: list[Line], *, as_json: bool) -> None:
    if as_json:
        plain = [
            {
                "what": line.what,
                "answer": line.answer,
                "look": line.look,
                "found": [{"state": one.state.name.lower(), "store": one.store, "what": one.what, "next": one.next} for one in line.found],
            }
            for line in lines
        ]
        typer.echo(json.dumps({"stack": stack, "phase": phase, "lines": plain}, indent=2))
    else:
        table = Table("", phase, "because", title=f"{stack}: {phase}", title_justify="left", box=None)
        marks = {"done": "[green]done[/]", "open": "[red]OPEN[/]", "manual": "[yellow]manual[/]"}
        for line in lines:
            worst = [one for one in line.found if one.state is not State.FINE]
            told = [f"{one.store or 'tier'}: {one.what}{f' -> {one.next}' if one.next else ''}" for one in worst]
            table.add_row(marks[line.answer], line.what, "\n".join(told) or line.look or f"{len(line.found)} checks")
        Console(highlight=False).print(table)
    if any(line.answer == "open" for line in lines):
        raise typer.Exit(ExitCode.CANNOT_TELL)
