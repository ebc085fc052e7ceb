"""Where the stack files are: `Pulumi.<stack>.yaml` in the project's root, and one per system and environment under examples/."""

from pathlib import Path

from perene.errors import PereneError
from perene.exit_codes import ExitCode


def stack_files(root: Path) -> dict[str, Path]:
    """Every stack of the project by name, with its file."""
    found = sorted(root.glob("Pulumi.*.yaml")) + sorted(root.glob("examples/*/Pulumi.*.yaml"))
    return {path.name.removeprefix("Pulumi.").removesuffix(".yaml"): path for path in found}


def stack_file(root: Path, stack: str) -> Path:
    """The file of a stack. PereneError (exit 3) with the stacks that exist when there is none."""
    known = stack_files(root)
    if stack not in known:
        raise PereneError(
            f"there is no stack {stack!r}",
            where=f"Pulumi.{stack}.yaml",
            why="a stack is defined by its file in the project's root or under examples/",
            fix=f"name one of: {', '.join(known) or 'none exist yet'}",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return known[stack]


def project_root(start: Path | None = None) -> Path:
    """The directory of the nearest Pulumi.yaml at or above `start` (the working directory). PereneError (exit 3) without one."""
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents):
        if (directory / "Pulumi.yaml").is_file():
            return directory
    raise PereneError(
        "this is not inside a perene project",
        where=str(here),
        why="there is no Pulumi.yaml here or in a directory above",
        fix="change into the project's directory",
        exit_code=ExitCode.CANNOT_TELL,
    )
