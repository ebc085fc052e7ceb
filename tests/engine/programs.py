"""Small programs for tests of the engine."""

import textwrap
from pathlib import Path

from perene.engine import monitor
from perene.engine.program import Program


def project(directory: Path, source: str, config: str = "config: {}\n", stack: str = "dev") -> Path:
    """A project directory with one stack and a program of this source."""
    (directory / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (directory / f"Pulumi.{stack}.yaml").write_text(textwrap.dedent(config))
    (directory / "__main__.py").write_text(textwrap.dedent(source))
    return directory


def run(directory: Path, source: str, config: str = "config: {}\n", stack: str = "dev") -> Program:
    """What a program of this source declares."""
    return monitor.run(project(directory, source, config, stack), stack)
