"""Changes of prod on the real engine and the real Google provider: every dangerous one is stopped, every harmless one gets through.

With PERENE_RECORD=1 the previews become the recordings that tests/safety/test_google_recordings.py replays without the CLI.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perene.engine import approved
from perene.engine.change import Stack
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import gate, reading
from tests.doubles.google import Google, serve
from tests.e2e.cloud_changes import CHANGES, INSTANCE, put
from tests.engine_cli import Engine
from tests.programs import needs
from tests.safety.keys import make_key

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests/safety/recordings/google.tar.xz"
PROD = (ROOT / "Pulumi.prod.yaml").read_text(encoding="utf-8")
CODES = {"SAFE": ExitCode.DONE, "DISRUPTIVE": ExitCode.DONE, "WEAKENS": ExitCode.WEAKENS, "LOSES-DATA": ExitCode.LOSES_DATA}

pytestmark = [pytest.mark.e2e, needs("pulumi", "pulumi-resource-gcp", "pulumi-resource-kubernetes")]


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Google]]:
    """Prod, created on the double."""
    with serve() as (google, address):
        engine = Engine(tmp_path_factory.mktemp("prod"), "prod", address)
        done = engine.up()
        assert done.returncode == 0, done.stdout
        yield engine, google


@pytest.fixture(scope="module")
def recordings() -> Iterator[dict[str, Any]]:
    """Name -> content of what is recorded; kept when PERENE_RECORD says so."""
    files: dict[str, Any] = {"index.json": {}}
    yield files
    if os.environ.get("PERENE_RECORD") and len(files) > len(CHANGES):
        with tarfile.open(RECORDED, "w:xz") as archive:
            for name, content in sorted(files.items()):
                data = json.dumps(content, sort_keys=True).encode()
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("name", CHANGES)
def test_the_gate_says_what_the_change_does(prod: tuple[Engine, Google], recordings: dict[str, Any], name: str) -> None:
    engine, google = prod
    change, made = CHANGES[name], len(google.mutations)
    engine.configure(change.of(PROD))
    engine.change(change.program)
    code, document, text = engine.preview()
    assert document, text
    document = _without_places(document)
    recordings["index.json"][name] = {"expected": change.expected, "exit_code": code}
    recordings[f"{name}.json"] = document
    steps = reading.parse_steps(json.dumps(document).encode(), name)
    verdict = gate.judge(steps.model_copy(update={"failed": steps.failed or code != 0}))
    if change.expected == "REFUSED":
        assert code != 0, "the engine itself refuses"
        assert verdict.exit_code in {ExitCode.CANNOT_TELL, ExitCode.LOSES_DATA}
    else:
        assert code == 0, text
        found = [one for one in verdict.findings if one.effect != "SAFE"]
        assert (verdict.effect, verdict.exit_code) == (change.expected, CODES[change.expected]), found
    assert len(google.mutations) == made, "a preview calls nothing that changes something"


def test_the_policy_pack_lets_prod_through_and_stops_an_unguarded_instance(prod: tuple[Engine, Google]) -> None:
    engine, _ = prod
    engine.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the pack runs in this Python
    engine.configure(PROD)
    preview = ("preview", "--policy-pack", str(ROOT / "policy"), "--non-interactive", "-s", "prod", "--color", "never")
    engine.change({})
    passed = engine.call(*preview)
    assert passed.returncode == 0, passed.stdout
    engine.change(put(INSTANCE, "deletionProtection", False))
    stopped = engine.call(*preview)
    assert stopped.returncode != 0, "a mandatory rule stops the preview"
    assert f"[mandatory]  cloud-sql-guards  (gcp:sql:DatabaseInstance: {INSTANCE})" in stopped.stdout, stopped.stdout


def test_an_apply_is_refused_after_the_state_moved_under_it(prod: tuple[Engine, Google], monkeypatch: pytest.MonkeyPatch) -> None:
    engine, google = prod
    engine.configure(PROD)
    engine.change(CHANGES["label-added"].program)
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    project = engine.directory
    (project / ".gitignore").write_text("home\nstate\nrendered\nkeys\nplan.json\n")
    identity = ("-c", "user.name=x", "-c", "user.email=rui@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *arguments], cwd=project, check=True)
    keys, plan, stack, now = project / "keys", project / "plan.json", Stack(project, "prod"), datetime.now(UTC)
    key = make_key(keys, "ana")
    signed = approved.approve(
        stack, approved.judged(stack, now, None, keys), private_key=key, approver="ana", now=now, valid=timedelta(hours=1)
    )
    plan.write_text(signed.to_json())
    engine.change(put(INSTANCE, "settings.userLabels.moved", "yes"))
    moved = engine.up()
    assert moved.returncode == 0, moved.stdout
    made = len(google.mutations)

    def no_backup(_: str) -> None:
        raise AssertionError("it must refuse before it asks for a restore point")

    with pytest.raises(PereneError, match="the state's resources is not what was approved"):
        approved.apply(stack, plan, keys, approved.judged(stack, now, None, keys), now=now, restore_point=no_backup)
    assert len(google.mutations) == made, "nothing was applied"


def _without_places(value: Any) -> Any:
    """Where a line of source stands is of no use, and of this machine."""
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items() if key not in {"sourcePosition", "stackTrace"}}
    return [_without_places(item) for item in value] if isinstance(value, list) else value
