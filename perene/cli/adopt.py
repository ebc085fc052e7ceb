"""`perene adopt`: what exists against what is declared for it, before the engine imports it."""

from typing import Annotated

import typer
from rich.console import Console

from perene.backup.cloud_sql import SqlAdmin
from perene.engine import adoption, monitor, stacks

app = typer.Typer(add_completion=False)


@app.command()
def command(stack: Annotated[str, typer.Argument(help="the stack, like prod")]) -> None:
    """Exit 0: nothing that is declared is weaker than what runs; 4, 5: something is, with every reason; 3: it cannot be seen."""
    out = Console(soft_wrap=True, highlight=False)
    found = adoption.look(monitor.run(stacks.project_root(), stack), stack, SqlAdmin)
    for each in found:
        out.print(f"{each.name} ({each.where}): {'differs' if each.differences else 'as declared'}", markup=False)
        for difference in each.differences:
            out.print(f"  {difference}", markup=False)
    if any(each.worst in {"WEAKENS", "LOSES-DATA"} for each in found):
        raise adoption.refusal(found)
    out.print("The next apply imports it and changes what differs; the one after that has nothing to do.")
