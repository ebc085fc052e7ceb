"""The engine sorts the keys of configuration objects; what is derived from their order must be the same on both ways."""

from pathlib import Path

from tests.engine.programs import run


def test_objects_reach_the_program_with_sorted_keys(tmp_path: Path) -> None:
    source = """
        import pulumi
        pulumi.export("order", list(pulumi.Config("perene").require_object("tier")))
    """
    program = run(tmp_path, source, "config:\n  perene:tier: {zebra: 1, apple: {y: 1, x: 2}}\n")
    assert program.outputs["order"] == ["apple", "zebra"]
