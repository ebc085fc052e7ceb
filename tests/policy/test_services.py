"""Redis, Qdrant, RabbitMQ and file volumes in a guarded tier: the policy pack passes them, and nothing that holds data goes unseen."""

import copy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import tiers
from infra.config.load import load
from perene.contract.verdict import Verdict
from perene.engine import declared_change, policies
from perene.engine.monitor import run_program
from perene.engine.program import Program
from perene.exit_codes import ExitCode
from perene.safety import gate
from policy.rules import violations
from tests.infra.config.test_rejected import base

ROOT = Path(__file__).parents[2]
STORES = ("cache", "queue", "vectors", "events", "media")
SET = "kubernetes:apps/v1:StatefulSet"


def declared(stack: str, value: dict[str, Any]) -> Program:
    tier = load(value, where=stack, stack=stack)
    return run_program(lambda: pulumi.export("tier", tiers.build(tier, stack)), project="perene", stack=stack, config={}, root=ROOT)


@cache
def whole() -> Program:
    return declared("services-prod", base("services-prod"))


def test_the_pack_passes_every_kind() -> None:
    found = [violation for one in whole().resources for violation in violations(policies.declared(one))]
    assert not found


@pytest.mark.parametrize("store", STORES)
def test_what_a_guarded_store_is_made_of_is_protected(store: str) -> None:
    ours = [one for one in whole().resources if one.custom and f"::{store}-g1" in one.urn]
    assert len(ours) >= 2
    bare = [one.urn for one in ours if not one.protect and "named-by-content" not in str(one.inputs["metadata"])]
    assert not bare


def test_a_set_without_a_volume_is_a_cache_that_says_so() -> None:
    (cache_set,) = [one for one in whole().resources if one.type == SET and one.name == "cache-g1"]
    labels = {name: value for name, value in cache_set.inputs["metadata"]["labels"].items() if name != "perene.dev/keeps"}
    silent = policies.declared(cache_set)
    silent = type(silent)(**{**vars(silent), "inputs": {**silent.inputs, "metadata": {**silent.inputs["metadata"], "labels": labels}}})
    assert any("no volume claim" in violation for violation in violations(silent))


def judged(**change: Any) -> Verdict:
    """The gate on the change from the whole tier to one with changed stores (None: taken away)."""
    value = copy.deepcopy(base("services-prod"))
    for name, store in change.items():
        if store is None:
            del value["stores"][name]
        else:
            value["stores"][name] |= store
    before = {one.urn: declared_change.state_of(one) for one in whole().resources}
    document = declared_change.compare(before, declared("services-prod", value))
    return gate.judge(document, now=datetime(2026, 11, 26, tzinfo=UTC))


def effect_of(verdict: Verdict, name: str) -> str:
    return next(finding.effect for finding in verdict.findings if finding.urn.endswith(f"::{name}"))


def test_taking_a_store_away_is_a_loss_of_its_volume_and_taking_a_cache_away_is_none() -> None:
    verdict = judged(**dict.fromkeys(STORES))
    effects = {store: effect_of(verdict, f"{store}-g1-data") for store in STORES if store != "cache"}
    assert set(effects.values()) == {"LOSES-DATA"}, effects
    assert effect_of(verdict, "cache-g1") == "DISRUPTIVE"
    assert verdict.exit_code == ExitCode.LOSES_DATA


def test_a_retired_generation_stays_and_its_successor_stands_beside_it() -> None:
    verdict = judged(**{store: {"generation": 2, "retired": {"1": "2026-12-31"}} for store in STORES})
    assert "LOSES-DATA" not in {finding.effect for finding in verdict.findings}, verdict.findings


def test_a_store_that_becomes_a_cache_and_a_volume_in_another_class_are_losses_and_a_smaller_one_is_seen() -> None:
    as_cache = {"mode": "cache", "maxMemoryPolicy": "allkeys-lru", "volume": None, "backup": "none"}
    verdict = judged(queue=as_cache, media={"storageClass": "other"}, vectors={"volume": {"size": "1GiB"}})
    assert effect_of(verdict, "queue-g1-data") == "LOSES-DATA"
    assert effect_of(verdict, "media-g1-data") == "LOSES-DATA"
    assert effect_of(verdict, "vectors-g1-data") == "WEAKENS"
