"""How health, alerts and doctor find a running tier: the stack's cluster, its tier document, and the evidence about it."""

from pathlib import Path

from perene.contract.tier import TierDocument
from perene.engine import stacks, target
from perene.engine.tier import tier_of
from perene.health.exporter import TIER_CONFIG, of_evidence
from perene.health.figures import Figures, of_samples, scraped
from perene.health.kube import ByKubectl, document, secret
from perene.health.sources import directory
from perene.health.subject import Tier
from perene.private import state


def running(stack: str, *, namespace: str, context: str, evidence: Path | None) -> tuple[Tier, ByKubectl]:
    """The tier as it runs, and the way to ask its cluster. PereneError (exit 3) where there is none or it does not answer."""
    # Somebody woken at night may have no checkout: with context and namespace named, none is needed.
    root = Path.cwd() if context and namespace else stacks.project_root()
    where = target.adopt_context(root, stack, context) if context else target.of_stack(root, stack)
    api = ByKubectl(where.client())
    # running the program tells the namespace, and costs a second
    found_in = namespace or tier_of(root, stack).namespace
    config = document(api, f"/api/v1/namespaces/{found_in}/configmaps/{TIER_CONFIG}")
    tier = TierDocument.parse(config["data"]["tier.json"], TIER_CONFIG)

    def figures() -> Figures:
        if evidence:
            return of_samples(of_evidence(tier, directory(evidence)(tier)))
        return scraped(api, tier.namespace)

    looked = Tier(
        document=tier,
        api=api,
        resolve=lambda ref: secret(api, ref),
        figures=figures,
        history=state(root, "stacks", stack) / "volumes.json",
    )
    return looked, api
