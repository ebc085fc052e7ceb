"""The benchmarks compare like with like, and a broken promise is seen."""

import importlib

import pytest

from bench import Row, program
from bench.__main__ import BENCHMARKS, main, table


def test_the_bare_program_declares_the_same_resources() -> None:
    declared = program.perene_program(program.configuration(2))
    for typed in (True, False):
        bare = program.bare_program(declared, typed=typed)
        assert [(one.urn, one.inputs, one.protect) for one in bare.resources] == [
            (one.urn, one.inputs, one.protect) for one in declared.resources
        ]


def test_a_ratio_above_its_promise_is_broken() -> None:
    row = Row(what="w", against="a", measured=12, plain=10, unit="s", promised=1.15)
    assert not row.kept
    assert Row(what="w", against="a", measured=11, plain=10, unit="s", promised=1.15).kept
    assert Row(what="w", against="a", measured=99, plain=1, unit="s").kept, "a row without a promise is only shown"
    assert list(table([row]).columns[5].cells) == ["<= 1.15 BROKEN"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_called(name: str) -> None:
    assert callable(importlib.import_module(BENCHMARKS[name][0]).run)


def test_an_unknown_benchmark_is_wrong_usage() -> None:
    assert main(["nothing"]) == 2
