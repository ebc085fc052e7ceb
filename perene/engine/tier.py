"""The tier document as the program would export it, without an engine or a cluster."""

import json
from pathlib import Path

from perene.contract.tier import TierDocument
from perene.engine import monitor
from perene.engine.program import Program


def tier_of(root: Path, stack: str) -> TierDocument:
    """Run the program of a stack and read the document that it exports."""
    return document(monitor.run(root, stack))


def document(program: Program) -> TierDocument:
    """The exported document of a program that has run."""
    return TierDocument.parse(json.dumps(program.outputs["tier"]), f"output tier of {program.stack}")
