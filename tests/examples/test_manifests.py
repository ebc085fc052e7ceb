"""What the examples' own programs render: bound to the tier document, secrets as files only, nothing that could climb."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perene.engine.stacks import stack_files
from perene.engine.tier import tier_of

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/manifests.py"))


def stack(name: str) -> str:
    """Its stack in dev; direito-lux is the system of the checkout itself."""
    return f"{name}-dev" if f"{name}-dev" in stack_files(ROOT) else "dev"


def rendered(name: str, folder: Path, *words: str) -> list[dict[str, Any]]:
    document = tier_of(ROOT, stack(name))
    (folder / "tier.json").write_text(document.to_json())
    command = [sys.executable, str(ROOT / f"examples/{name}/manifests.py"), str(folder / "tier.json"), *words]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["items"]
    return found


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    specs = {one["metadata"]["name"]: one["spec"] for one in objects if "spec" in one and one["kind"] != "Service"}
    return {name: spec.get("jobTemplate", {"spec": spec})["spec"]["template"] for name, spec in specs.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_secret_is_a_file_of_the_tiers_own_and_nothing_else(name: str, tmp_path: Path) -> None:
    objects = rendered(name, tmp_path)
    document = tier_of(ROOT, stack(name))
    known = {ref["name"] for ref in references(document.model_dump(mode="json"))}
    for pod in pods(objects).values():
        spec = pod["spec"]
        container = spec["containers"][0]
        assert {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume} <= known
        assert "env" not in container, "no secret travels through the environment"
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not spec["automountServiceAccountToken"]
        reached = {label.partition("/")[2] for label in pod["metadata"]["labels"] if label.startswith("access.")}
        assert reached <= set(document.stores)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_mounted_file_is_one_that_the_application_is_told_of(name: str, tmp_path: Path) -> None:
    for pod in pods(rendered(name, tmp_path)).values():
        words = " ".join(pod["spec"]["containers"][0]["command"])
        for volume in pod["spec"]["volumes"]:
            for item in volume.get("secret", {}).get("items", []):
                assert f"/{volume['name']}/{item['path']}" in words


def references(value: Any) -> list[dict[str, str]]:
    if isinstance(value, dict):
        own = [value] if {"vault", "scope", "name"} <= value.keys() else []
        return own + [ref for part in value.values() for ref in references(part)]
    return [ref for part in value for ref in references(part)] if isinstance(value, list) else []


def test_the_switch_moves_the_service_and_nothing_else(tmp_path: Path) -> None:
    blue, green = (
        {(one["kind"], one["metadata"]["name"]): one for one in rendered("direito-lux", tmp_path, color)} for color in ("blue", "green")
    )
    changed = [key for key in blue if blue[key] != green[key]]
    assert changed == [("Service", "direito-lux")]
    assert blue[changed[0]]["spec"]["selector"] == {"app.kubernetes.io/name": "direito-lux-blue"}
