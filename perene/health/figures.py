"""The exporter's figures as the health check reads them: through the API server's proxy, or made on the spot from the evidence."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.kube import Api
from perene.health.states import Sample

EXPORTER = "perene-exporter"
PORT = 9464


@dataclass(frozen=True)
class Figures:
    """Samples by name and labels."""

    samples: tuple[Sample, ...]

    def one(self, name: str, **labels: str) -> float | None:
        """The value of a metric whose labels include the given ones, or None."""
        same = (one.value for one in self.samples if one.name == name and labels.items() <= dict(one.labels).items())
        return next(same, None)

    def label(self, name: str, key: str, **labels: str) -> str:
        """A label of a metric whose labels include the given ones; empty without it."""
        for sample in self.samples:
            if sample.name == name and labels.items() <= dict(sample.labels).items():
                return dict(sample.labels).get(key, "")
        return ""


def of_samples(samples: Iterable[Sample]) -> Figures:
    """Figures made on the spot."""
    return Figures(tuple(samples))


def scraped(api: Api, namespace: str) -> Figures:
    """What the exporter in the cluster shows now. PereneError (exit 3) when it does not answer."""
    try:
        text = api.text(f"/api/v1/namespaces/{namespace}/services/{EXPORTER}:{PORT}/proxy/metrics")
    except PereneError as silent:
        raise PereneError(
            f"nobody tells how the backups are: the exporter does not answer ({silent.problems[0].what})",
            fix=f"kubectl -n {namespace} get pods,service -l app.kubernetes.io/name=perene-exporter",
            exit_code=ExitCode.CANNOT_TELL,
        ) from None
    return Figures(
        tuple(
            Sample(one.name, tuple(one.labels.items()), float(one.value))
            for family in text_string_to_metric_families(text)
            for one in family.samples
        )
    )
