"""Prints what the checkout in the working directory declares for a stack, as JSON. Run as text by another commit's `declared_change`.

It uses only what every commit has: the monitor and its values.
"""

import json
import sys
from pathlib import Path

from perene.engine import monitor
from perene.engine.program import masked


def declarations(stack: str) -> list[dict[str, object]]:
    """One entry for each resource, in the form of `perene.contract.steps.ResourceState` with its URN."""
    return [
        {
            "urn": resource.urn,
            "type": resource.type,
            "parent": resource.parent,
            "provider": resource.provider,
            "custom": resource.custom,
            "inputs": masked(resource.inputs),
            "options": resource.options,
        }
        for resource in monitor.run(Path.cwd(), stack).resources
    ]


if __name__ == "__main__":
    json.dump(declarations(sys.argv[1]), sys.stdout)
