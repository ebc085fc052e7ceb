"""`perene engine`: Pulumi's CLI on a machine that reaches package registries only."""

import typer

from perene.engine import built, engine_choice, stacks
from perene.engine.progress import Progress
from perene.engine.up import log_file

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Have Pulumi's CLI: the one that is there or can be installed, else built from its Go modules with its Kubernetes provider.

    A built one is `pulumi` beside this Python (source .venv/bin/activate), with the state under .perene/state unless PULUMI_BACKEND_URL
    names another. The first time takes about a quarter of an hour on two processors; interrupted, it resumes.
    """
    root = stacks.project_root()
    progress = Progress(log_file(root, "engine"))
    found = engine_choice.cli(root)
    if isinstance(found, engine_choice.Engine) and found.program != str(built.program(root)):
        progress.show(f"nothing to build: {found.reason}")
        return
    with progress.stage("engine"):
        program = built.have(root, progress.local)
    progress.show(f"pulumi is {program}, and `pulumi` after: source .venv/bin/activate")
