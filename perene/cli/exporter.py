"""`perene exporter`: the figures that the alerts are fed with, for Prometheus; read-only."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console

from perene.engine import target
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.exporter import Exporter
from perene.health.kube import Api, ByKubectl, InCluster
from perene.health.sources import directory, repository

app = typer.Typer(add_completion=False)


@app.command()
def exporter(
    stack: Annotated[str, typer.Argument(help="the tier, for the log; what is exported comes from its document in the cluster")],
    *,
    listen: Annotated[str, typer.Option(help="address and port")] = "127.0.0.1:9464",
    evidence: Annotated[
        Path | None, typer.Option(help="directory with a copy of the manifests and drill records (default: beside the tier's repository)")
    ] = None,
    namespace: Annotated[str, typer.Option(help="the tier's namespace; in a pod its own", envvar="POD_NAMESPACE")] = "",
    context: Annotated[str, typer.Option(help="kubectl context; without it, the service account of this pod")] = "",
    kubelet_ca: Annotated[str, typer.Option(help="PEM of the authority that signs kubelets' certificates")] = "",
    without_states: Annotated[bool, typer.Option(help="leave pods and jobs to kube-state-metrics, whose names are the same")] = False,
    every: Annotated[float, typer.Option(help="seconds between two rounds")] = 30,
) -> None:
    """Serve /metrics until stopped."""
    err = Console(stderr=True, soft_wrap=True, highlight=False)
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not host:
        raise PereneError(f"{listen!r} is no address and port", fix="--listen 127.0.0.1:9464", exit_code=ExitCode.USAGE)
    api: Api = ByKubectl(target.adopt_context(Path.cwd(), stack, context).client(), 10) if context else InCluster(kubelet_ca)
    where = namespace or (InCluster.namespace() if not context else "")
    if not where:
        raise PereneError("which namespace?", fix="--namespace NAME", exit_code=ExitCode.USAGE)
    collector = Exporter(
        api=api, namespace=where, evidence=directory(evidence) if evidence else repository(), with_states=not without_states
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)

    def tell(failed: dict[str, str]) -> None:
        err.print("every part answers" if not failed else "\n".join(f"{part}: {why}" for part, why in failed.items()), markup=False)

    start_http_server(int(port), addr=host, registry=registry)
    err.print(f"{stack}: http://{host}:{port}/metrics", markup=False)
    collector.run(stop, every, tell)
