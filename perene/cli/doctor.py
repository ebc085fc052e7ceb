"""`perene doctor`: everything that helps to find a fault, in one archive that can be sent."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.engine import stacks, target
from perene.engine.tier import tier_of
from perene.errors import PereneError
from perene.health.doctor import archive, collect
from perene.health.kube import ByKubectl
from perene.health.network import enforcement

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    stack: Annotated[str, typer.Argument(help="the tier, like dev")],
    *,
    out: Annotated[Path | None, typer.Option(help="the archive (default: perene-doctor-STACK-TIME.tar.gz)")] = None,
    namespace: Annotated[str, typer.Option(help="its namespace, when it is not in the configuration of this checkout")] = "",
    context: Annotated[str, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")] = "",
) -> None:
    """Collect versions, configuration, events and logs. Secrets are masked; look through it before you send it all the same."""
    console, root = Console(soft_wrap=True, highlight=False), stacks.project_root()
    where = target.adopt_context(root, stack, context) if context else target.recorded(root, stack)
    api = ByKubectl(where.client(), 10) if where else None
    if api:
        try:
            api.text("/readyz")
        except PereneError as silent:
            console.print(f"the cluster does not answer, so nothing of it is in the archive: {silent}", markup=False)
            api = None
    file = out or Path(f"perene-doctor-{stack}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz")
    names = archive(collect(api, namespace or tier_of(root, stack).namespace, root), file)
    missing = [name for name in names if name.endswith(".missing")]
    console.print(f"{file}: {len(names) - len(missing)} parts, {file.stat().st_size // 1024} KiB", markup=False)
    if api:
        console.print(enforcement(api).rstrip(), markup=False)
    for name in missing:
        console.print(f"  not to be had: {name.removesuffix('.missing')}", markup=False)
