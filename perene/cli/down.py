"""`perene down`: stop the local cluster; the data stays."""

from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.cli.tier_of_cluster import running
from perene.engine import stacks, target
from perene.engine.lock import alone
from perene.engine.maintain import back_up
from perene.engine.progress import Progress
from perene.engine.up import log_file
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.local import cluster
from perene.local.layout import Layout

app = typer.Typer(add_completion=False)
out = Console(soft_wrap=True, highlight=False)


@app.command()
def main(
    stack: Annotated[str, typer.Argument(help="whose backup is made with --backup")] = "dev",
    *,
    backup: Annotated[bool, typer.Option("--backup", help="make a set first, and stop only when it was read back")] = False,
) -> None:
    """Stop the checkout's local cluster in order. Volumes, secrets and everything else stay; `perene up` goes on from there."""
    root = stacks.project_root()
    with alone(root, "perene down"):
        claims = _backed_up(stack) if backup else {}
        stopped = cluster.stop(root, Progress(log_file(root, "down")).local)
        gone = [claim for claim, volume in claims.items() if not (Layout(root).volumes / f"{volume}.img").exists()]
    if gone:
        raise PereneError(
            f"after the stop these volumes are not there: {', '.join(gone)}", where=str(Layout(root).volumes), exit_code=ExitCode.NOT_PROVEN
        )
    text = "stopped; the data stays under .perene/" if stopped else "nothing to stop: the checkout's own cluster does not run"
    kept = f" ({len(claims)} volumes, each still there: {', '.join(claims)})" if claims else ""
    out.print(text + kept, markup=False)


def _backed_up(stack: str) -> dict[str, str]:
    """Back the tier up; claim -> volume of every store of it. PereneError when the backup fails: then nothing is stopped."""
    root = stacks.project_root()
    if not cluster.running(root):
        raise PereneError(
            "the checkout's own cluster does not run, so nothing can be backed up",
            fix="perene up first, or perene down without --backup",
            exit_code=ExitCode.CANNOT_TELL,
        )
    tier, _ = running(stack, namespace="", context="", evidence=None)
    client, namespace = target.of_stack(root, stack).client(), tier.document.namespace
    with record("backup", tier.document, subject="before a stop") as found:
        found["set"] = back_up(client, tier.document, lambda text: out.print(text, markup=False)).id
    wanted = {store.volume.claim for store in tier.document.stores.values() if store.volume}
    bound = client.find(["persistentvolumeclaims"], namespace=namespace)
    return {one["metadata"]["name"]: str(one["spec"].get("volumeName", "")) for one in bound if one["metadata"]["name"] in wanted}
