"""The Pulumi CLI on a cloud stack, with the real Google provider against the double and Kubernetes rendered into a directory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.doubles.google import ENDPOINTS

ROOT = Path(__file__).parents[1]
# There is no GKE here: the manifests go to a directory. Google's services are the double.
PROGRAM = """
import json, os
import pulumi
ENDPOINTS = json.loads(os.environ["DOUBLE_ENDPOINTS"])

def here(args):
    if args.type_ == "pulumi:providers:kubernetes":
        props = {"renderYamlToDirectory": os.environ["RENDERED"], "namespace": args.props["namespace"]}
        return pulumi.ResourceTransformResult(props, args.opts)
    if args.type_ == "pulumi:providers:gcp":
        return pulumi.ResourceTransformResult({**args.props, **ENDPOINTS, "accessToken": "dummy"}, args.opts)
    return None

pulumi.runtime.register_resource_transform(here)
from infra.program import main
main()
"""


class Engine:
    """One stack in a project directory of its own. address: of the double, ending in a slash."""

    def __init__(self, directory: Path, stack: str, address: str, text: str | None = None) -> None:
        self.directory, self.stack = directory, stack
        for name in ("infra", "perene", "examples"):
            (directory / name).symlink_to(ROOT / name)
        (directory / "__main__.py").write_text(PROGRAM)
        (directory / "Pulumi.yaml").write_text(
            f"name: perene\nruntime: {{name: python, options: {{virtualenv: {json.dumps(sys.prefix)}}}}}\n"
        )
        for made in ("state", "home", "rendered"):
            (directory / made).mkdir()
        endpoints = {_camel(key): f"{address}{prefix}" for key, prefix in ENDPOINTS.items()}
        self.environment = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{directory}/state",
            "PULUMI_HOME": f"{directory}/home",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
            "KUBECONFIG": os.devnull,
            "RENDERED": f"{directory}/rendered",
            "DOUBLE_ENDPOINTS": json.dumps(endpoints),
        }
        self.configure(text or (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
        self.call("stack", "init", stack)

    @property
    def file(self) -> Path:
        """The stack file in the project directory."""
        return self.directory / f"Pulumi.{self.stack}.yaml"

    def configure(self, text: str) -> None:
        """Put another configuration in place; the salt that the CLI once added stays."""
        before = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        salt = [line for line in before if line.startswith("encryptionsalt:")]
        self.file.write_text("\n".join([text.rstrip("\n"), *salt]) + "\n", encoding="utf-8")

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the CLI; its output is kept whatever the exit code."""
        return subprocess.run(
            ["pulumi", *arguments], cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """Apply, without a preview before it."""
        return self.call("up", "--yes", "--skip-preview", "--non-interactive", "-s", self.stack, "--color", "never")

    def preview(self, *more: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the preview's document, and its text."""
        done = self.call("preview", "--json", "--show-sames", "--non-interactive", "-s", self.stack, *more)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip().startswith("{") else {}, done.stdout + done.stderr


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(part.title() for part in rest)
