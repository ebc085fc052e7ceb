"""Pulumi's language host for Python, for a CLI that was built from modules: Pulumi's own is in no registry.

It speaks the SDK's protocol (pulumi.runtime.proto), prints its port, and ends with the engine that started it. The program runs in the
virtual environment that Pulumi.yaml names. Source of the protocol: pulumi/sdk/proto/pulumi/language.proto.
"""

import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

MESSAGE_BYTES = 400 << 20
# The exit code by which a program says that it has shown its error already.
SHOWN = 32
# Pulumi's own runner of a program lies beside the CLI.
RUNNER = "pulumi-language-python-exec"


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """engine: its address. runner: the path of Pulumi's own runner of a program."""

    def __init__(self, engine: str, runner: Path) -> None:
        self.engine, self.runner = engine, runner
        self._children: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """None: plugins come from PATH, or by the versions that the program's resources name."""
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request: Any, context: Any) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        found = [(one.metadata["Name"], one.version) for one in importlib.metadata.distributions()]
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in found]
        )

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        """`pulumi install`: the virtual environment that Pulumi.yaml names, with requirements.txt in it."""
        environment = virtual_environment(request.info)
        if environment is not None:
            commands = [[sys.executable, "-m", "venv", str(environment)]] if not environment.exists() else []
            commands.append([str(environment / "bin" / "python"), "-m", "pip", "install", "-r", "requirements.txt"])
            for command in commands:
                for line in self._lines(command, cwd=request.directory):
                    if isinstance(line, bytes):
                        yield language_pb2.InstallDependenciesResponse(stdout=line)
                    elif line:
                        context.abort(grpc.StatusCode.UNKNOWN, f"{' '.join(command)} ended with {line}")

    def Run(self, request: Any, context: Any) -> Any:
        """The program, to its end."""
        info = request.info
        words = [
            interpreter(info, context),
            "-u",
            str(self.runner),
            *("--monitor", request.monitor_address),
            *("--engine", self.engine),
            *("--project", request.project),
            *("--stack", request.stack),
            *("--pwd", request.pwd),
            *("--parallel", str(request.parallel)),
            *("--dry_run", "true" if request.dryRun else "false"),
            *("--organization", request.organization),
            *("--root_directory", info.root_directory),
            request.program or str(Path(info.program_directory, info.entry_point or ".")),
            *request.args,
        ]
        configuration = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        code = self._run(words, context, env=os.environ | configuration, cwd=request.pwd or None)
        if code == SHOWN:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}" if code else "")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """A plugin that is a Python program: a policy pack."""
        where = request.info.program_directory
        words = ("-m", "pulumi.policy", *request.args, where) if request.kind == "analyzer" else (where, *request.args)
        environment = dict(one.split("=", 1) for one in request.env) or None
        for line in self._lines(
            [interpreter(request.info, context), "-u", *words], context=context, env=environment, cwd=request.pwd or None
        ):
            yield language_pb2.RunPluginResponse(**({"stdout": line} if isinstance(line, bytes) else {"exitcode": line}))

    def Cancel(self, request: Any, context: Any) -> Any:
        from google.protobuf import empty_pb2  # noqa: PLC0415 - for this call alone

        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """End what still runs."""
        for child in list(self._children):
            child.terminate()

    def _run(self, words: Sequence[str], context: Any, **options: Any) -> int:
        with self._started(words, context, stdout=sys.stderr, **options) as child:
            return child.wait()

    def _lines(self, words: Sequence[str], *, context: Any = None, **options: Any) -> Iterator[bytes | int]:
        """What a program writes, line by line, and its exit code at the end."""
        with self._started(words, context, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) as child:
            yield from child.stdout or ()
            yield child.wait()

    def _started(self, words: Sequence[str], context: Any, **options: Any) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, **options)
        self._children = {one for one in self._children if one.poll() is None} | {child}
        if context is not None:
            # The engine went away, or the call was given up.
            context.add_callback(child.terminate)
        return child


def virtual_environment(info: Any) -> Path | None:
    """The one that `runtime.options.virtualenv` of a Pulumi.yaml or PulumiPolicy.yaml names, None where it names none."""
    named = info.options.fields["virtualenv"].string_value if "virtualenv" in info.options.fields else ""
    return Path(info.root_directory, named) if named else None


def interpreter(info: Any, context: Any) -> str:
    """The Python of the program; the call fails, with what helps, where the environment that it names is missing."""
    environment = virtual_environment(info)
    if environment is None:
        return sys.executable
    if not (environment / "bin" / "python").exists():
        missing = f"there is no virtual environment {environment}, which the project names. Fix: pulumi install"
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, missing)
    return str(environment / "bin" / "python")


def main() -> None:
    """Serve one engine, whose address is the first argument that is no option, until it is gone."""
    # Ctrl-C reaches the whole group: the engine decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    addresses = [word for word in sys.argv[1:] if not word.startswith("-")]
    host = Host(addresses[0] if addresses else "", Path(sys.argv[0]).resolve().with_name(RUNNER))
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", MESSAGE_BYTES)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    parent = os.getppid()
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    while server.wait_for_termination(1):
        if os.getppid() != parent:
            break
    host.stop()
    server.stop(0)


if __name__ == "__main__":
    main()
