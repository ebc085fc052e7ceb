"""`perene plan`: the tier as it is declared, before anything is done."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.cli.declared import show_change
from perene.engine import monitor, page, picture, policies, stacks, tree
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode

app = typer.Typer(add_completion=False)


@app.command()
def command(
    stack: Annotated[str, typer.Argument(help="the stack, like dev or vision-prod")],
    *,
    html: Annotated[Path | None, typer.Option(help="write a page that needs nothing else")] = None,
    json: Annotated[bool, typer.Option("--json", help="the plan document, for machines")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="the picture as Mermaid text")] = False,
    against_ref: Annotated[str | None, typer.Option(help="a commit, like main: what changed since, judged as declared")] = None,
    change: Annotated[Path | None, typer.Option(help="another checkout: what it declares, judged by this one")] = None,
    against: Annotated[str | None, typer.Option(help="another stack, to compare what both declare")] = None,
) -> None:
    """Show the tier: stores, where their copies are, what is declared and how it is guarded. Asks no cloud and no cluster."""
    root = stacks.project_root()
    if sys.dont_write_bytecode:
        Console(stderr=True).print(
            "slow: PYTHONDONTWRITEBYTECODE is set, so every run compiles the cloud SDKs again (unset it)", markup=False
        )
    if against_ref or change:
        show_change(root, stack, against_ref, change, as_json=json)
    program = monitor.run(root, stack)
    refused = policies.check(program)
    plan = picture.draw(program, monitor.run(root, against) if against else None)
    # Into a file or a pipe nothing is cut off.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    if html:
        page.write(plan, html)
    if json:
        sys.stdout.write(plan.to_json())
    elif mermaid:
        sys.stdout.write(plan.mermaid)
    else:
        out.print(tree.tree(plan))
        if html:
            out.print(f"page: {html}", markup=False)
    if refused:
        raise PereneError(
            problems=[Problem(what=violation, where=f"policy, stack {stack}") for violation in refused], exit_code=ExitCode.CANNOT_TELL
        )
