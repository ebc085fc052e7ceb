"""The Pulumi CLI on a cloud stack, with the real Google provider against the double and Kubernetes rendered into a directory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.doubles.google import ENDPOINTS

ROOT = Path(__file__).parents[1]
# There is no GKE here: the manifests go to a directory. Google's services are the double. CHANGE (resource -> set, options) stands for a
# changed program.
HERE = """
import importlib, json, os, re
from pathlib import Path
import pulumi
ENDPOINTS = json.loads(os.environ["DOUBLE_ENDPOINTS"])
CHANGE = json.loads(os.environ.get("CHANGE") or "{}")

def put(tree, path, value):
    head, _, rest = path.partition(".")
    if isinstance(tree, list):
        return [put(item, rest, value) if str(index) == head else item for index, item in enumerate(tree)]
    return {**tree, head: put(tree.get(head, {}), rest, value) if rest else value}

def here(args):
    props, change = dict(args.props), CHANGE.get(args.name, {})
    if args.type_ == "pulumi:providers:kubernetes":
        # The provider refuses a cluster beside it.
        elsewhere = {"renderYamlToDirectory": os.environ["RENDERED"]}
        props = {key: value for key, value in props.items() if key not in ("context", "kubeconfig")} | elsewhere
    if args.type_ == "pulumi:providers:gcp":
        props |= {**ENDPOINTS, "accessToken": "dummy"}
    for path, value in change.get("set", {}).items():
        props = put(props, path, value)
    for name, value in change.get("options", {}).items():
        setattr(args.opts, name, value)
    return pulumi.ResourceTransformResult(props, args.opts)

pulumi.runtime.register_resource_transform(here)
"""
PROGRAM = f"""{HERE}
from infra.program import main
main()
"""
# Plain resources as an exported state tells them, without a configuration, components of ours, or documents.
BARE = f"""{HERE}
def declare(one, made):
    package, module, kind = one["type"].split(":")
    options = pulumi.ResourceOptions(
        parent=made.get(one.get("parent")), protect=one.get("protect"), ignore_changes=one.get("ignoreChanges"),
        provider=made.get((one.get("provider") or "").rpartition("::")[0]),
    )
    name = one["urn"].rpartition("::")[2]
    if not one["custom"]:
        return pulumi.ComponentResource(one["type"], name, None, options)
    given = {{key: value for key, value in one["inputs"].items() if key not in ("__internal", "apiVersion", "kind", "version")}}
    given = {{re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), key): value for key, value in given.items()}}
    if package == "pulumi":
        given.pop("access_token", None)
        given = {{key: value == "true" if value in ("true", "false") else value for key, value in given.items()}}
        return importlib.import_module(f"pulumi_{{kind}}").Provider(name, **given, opts=options)
    if package == "kubernetes":
        group, _, version = module.partition("/")
        try:
            module = importlib.import_module(f"pulumi_kubernetes.{{group.partition('.')[0]}}.{{version}}")
        except ImportError:
            kinds = importlib.import_module("pulumi_kubernetes.apiextensions")
            return kinds.CustomResource(name, api_version=module, kind=kind, **given, opts=options)
        return getattr(module, kind)(name, **given, opts=options)
    return getattr(importlib.import_module(f"pulumi_gcp.{{module.partition('/')[0]}}"), kind)(name, **given, opts=options)

def plain(value):
    if isinstance(value, dict):
        added = ["__defaults", *value.get("__defaults", [])]
        return {{key: plain(item) for key, item in value.items() if key not in added}}
    return [plain(item) for item in value] if isinstance(value, list) else value

MADE = {{}}
for one in json.loads(Path("resources.json").read_text()):
    MADE[one["urn"]] = declare({{**one, "inputs": plain(one.get("inputs", {{}}))}}, MADE)
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
        endpoints = {camel(key): f"{address}{prefix}" for key, prefix in ENDPOINTS.items()}
        self.environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"} | {
            "PULUMI_BACKEND_URL": f"file://{directory}/state",
            "PULUMI_HOME": f"{directory}/home",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
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

    def change(self, change: Mapping[str, Any]) -> None:
        """Change the program: resource name -> {set: {path: value}, options: {name: value}}."""
        self.environment["CHANGE"] = json.dumps(change)

    def only(self, resources: Sequence[Mapping[str, Any]]) -> None:
        """From now on a bare program: exactly these resources, as an exported state tells them."""
        (self.directory / "resources.json").write_text(json.dumps(resources))
        (self.directory / "__main__.py").write_text(BARE)

    def resources(self) -> list[dict[str, Any]]:
        """The resources of the exported state, without the stack's own."""
        found: list[dict[str, Any]] = json.loads(self.call("stack", "export", "-s", self.stack).stdout)["deployment"]["resources"]
        return [each for each in found if each["type"] != "pulumi:pulumi:Stack"]

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
        return self._document("preview", *more)

    def drift(self, *more: str) -> tuple[int, dict[str, Any], str]:
        """The same of a refresh that changes nothing."""
        return self._document("refresh", "--preview-only", *more)

    def _document(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        done = self.call(*arguments, "--json", "--show-replacement-steps", "--show-sames", "--non-interactive", "-s", self.stack)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip().startswith("{") else {}, done.stdout + done.stderr


def camel(key: str) -> str:
    """`sql_custom_endpoint` -> `sqlCustomEndpoint`."""
    head, *rest = key.split("_")
    return head + "".join(part.title() for part in rest)
