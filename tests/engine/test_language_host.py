"""The language host as Pulumi's CLI uses it: over the SDK's own protocol, in a process of its own. The runner of a program is a double."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from perene.engine.language_host import RUNNER

# Says what it was given, and ends or waits as its program says.
DOUBLE = """
import json, os, sys, time
program = sys.argv[-1]
with open(os.path.join(program, "given"), "w") as given:
    json.dump({"words": sys.argv[1:], "config": os.environ["PULUMI_CONFIG"], "python": sys.executable, "pid": os.getpid()}, given)
how = open(os.path.join(program, "how")).read()
time.sleep(60) if how == "wait" else sys.exit(int(how))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The programs' directory as `perene engine` makes it, and a project."""
    (tmp_path / RUNNER).write_text(DOUBLE)
    host = tmp_path / "pulumi-language-python"
    host.write_text(f"#!{sys.executable}\nfrom perene.engine.language_host import main\n\nmain()\n")
    host.chmod(0o755)
    (tmp_path / "project").mkdir()
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


@pytest.fixture
def process(place: Path) -> Iterator["subprocess.Popen[str]"]:
    words = [str(place / "pulumi-language-python"), "-root=x", "127.0.0.1:4"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        yield running
        running.terminate()


@pytest.fixture
def host(process: "subprocess.Popen[str]") -> Iterator[Any]:
    assert process.stdout
    with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)


def info(place: Path, environment: str = "venv") -> Any:
    options = Struct()
    options.update({"virtualenv": environment})
    return language_pb2.ProgramInfo(root_directory=str(place), program_directory=str(place / "project"), entry_point=".", options=options)


def request(place: Path, how: str, environment: str = "venv") -> Any:
    (place / "project" / "how").write_text(how)
    return language_pb2.RunRequest(
        project="perene", stack="dev", pwd=str(place), config={"a:b": "c"}, dryRun=True, parallel=8, monitor_address="127.0.0.1:5",
        info=info(place, environment),
    )  # fmt: skip


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def eventually(check: Any) -> bool:
    until = time.monotonic() + 20
    while not check() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(check())


def test_a_program_runs_in_the_environment_that_the_project_names(host: Any, place: Path) -> None:
    assert host.Run(request(place, "0")) == language_pb2.RunResponse()
    given = json.loads((place / "project" / "given").read_text())
    words = given["words"]
    pairs = dict(zip(words[:-1:2], words[1:-1:2], strict=True))
    assert (pairs["--engine"], pairs["--monitor"], pairs["--stack"], pairs["--dry_run"]) == ("127.0.0.1:4", "127.0.0.1:5", "dev", "true")
    assert json.loads(given["config"]) == {"a:b": "c"}
    assert given["python"] == str(place / "venv" / "bin" / "python")


@pytest.mark.parametrize(("code", "bail", "error"), [("32", True, ""), ("3", False, "Program exited with non-zero exit code: 3")])
def test_how_a_program_failed_is_told(host: Any, place: Path, code: str, bail: bool, error: str) -> None:
    told = host.Run(request(place, code))
    assert (told.bail, told.error) == (bail, error)


def test_a_missing_environment_is_named_with_what_helps(host: Any, place: Path) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        host.Run(request(place, "0", "elsewhere"))
    assert refused.value.details() == f"there is no virtual environment {place}/elsewhere, which the project names. Fix: pulumi install"


@pytest.mark.parametrize("how", ["cancel", "the engine hangs up", "the host is ended"])
def test_nothing_runs_on_when_the_engine_has_gone(host: Any, place: Path, process: "subprocess.Popen[str]", how: str) -> None:
    running = host.Run.future(request(place, "wait"))
    given = place / "project" / "given"
    assert eventually(lambda: given.exists() and given.read_text().endswith("}"))
    pid = json.loads(given.read_text())["pid"]
    if how == "cancel":
        from google.protobuf.empty_pb2 import Empty

        host.Cancel(Empty())
    elif how == "the engine hangs up":
        running.cancel()
    else:
        process.terminate()
    assert eventually(lambda: gone(pid)), how


def test_it_is_what_the_cli_asks_about(host: Any, place: Path) -> None:
    assert host.About(language_pb2.AboutRequest()).executable == sys.executable
    names = {one.name for one in host.GetProgramDependencies(language_pb2.GetProgramDependenciesRequest()).dependencies}
    assert {"pulumi", "pydantic"} <= names
    assert not host.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(info=info(place))).packages
