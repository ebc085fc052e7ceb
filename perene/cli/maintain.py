"""`perene maintain STACK -- COMMAND`: back up, stop, work, start, verify."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.cli.tier_of_cluster import running
from perene.engine import stacks, target
from perene.engine.kubectl import Kubectl
from perene.engine.lock import alone
from perene.engine.maintain import maintain
from perene.errors import PereneError
from perene.exit_codes import ExitCode

app = typer.Typer(add_completion=False, help="Back up, stop, work, start, verify names and counts: one command.")


@app.command()
def main(
    stack: Annotated[str, typer.Argument(help="the stack, like dev")],
    command: Annotated[list[str] | None, typer.Argument(help="after --: what to run while it is stopped; none: it waits for Enter")] = None,
    store: Annotated[list[str] | None, typer.Option(help="only this store (repeat); none: every store of the cluster")] = None,
    context: Annotated[str, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")] = "",
) -> None:
    """Nothing is stopped when the backup fails; whatever the command does, everything is started again. Exit 6 when something is lost."""
    if not command and not sys.stdin.isatty():
        raise PereneError("no command, and nobody to wait for", fix="perene maintain STACK -- COMMAND", exit_code=ExitCode.USAGE)
    root = stacks.project_root()
    where = target.adopt_context(root, stack, context) if context else target.of_stack(root, stack)
    tier, _ = running(stack, namespace="", context=context, evidence=None)
    document, client, out = tier.document, where.client(), Console(soft_wrap=True, highlight=False)
    with (
        alone(root, f"perene maintain {stack}"),
        record("maintain", document, subject=", ".join(store or document.stores), command=(command or ["by hand"])[0]),
    ):
        maintain(
            client, document, tuple(store or ()), _work(client, document.namespace, command), lambda text: out.print(text, markup=False)
        )


def _work(client: Kubectl, namespace: str, command: list[str] | None) -> Callable[[], int]:
    def work() -> int:
        if not command:
            input("everything is stopped; Enter starts it again: ")
            return 0
        environment = os.environ | {"KUBECONFIG": str(client.kubeconfig), "PERENE_NAMESPACE": namespace}
        try:
            return subprocess.run(command, env=environment, check=False).returncode
        except OSError as absent:
            Console(stderr=True).print(f"{command[0]}: {absent.strerror}", markup=False)
            return 127

    return work
