"""The only module that reads Pulumi's configuration: load, build, export."""

from pathlib import Path

import pulumi

from infra import tiers
from infra.config import load
from infra.config.model import Tier


def main() -> None:
    """Run the program for the current stack."""
    stack = pulumi.get_stack()
    pulumi.export("tier", tiers.build(configuration(stack), stack))


def configuration(stack: str) -> Tier:
    """The stack's configuration, with the stack file's own faults where the file can be read."""
    where = f"Pulumi.{stack}.yaml"
    value = pulumi.Config("perene").require_object("tier")
    file = Path(where)
    found = load.read_stack_file(file)[1] if file.exists() else []
    return load.load(value, where=where, stack=stack, found=found)
