"""Running the program in the SDK's own in-process monitor: no CLI, no cloud, no cluster.

The monitor answers like an engine that applies everything at once, and records each request in full. What it cannot answer truly
(look-ups, transforms, reads of foreign resources) it refuses, instead of answering something.
"""

import asyncio
import contextlib
import gc
import json
import logging
import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime import mocks, set_all_config, settings
from pulumi.runtime.proto import alias_pb2, engine_pb2, resource_pb2
from pulumi.runtime.stack import run_in_stack

from infra.config import reading
from perene.engine import echo, wire
from perene.engine.program import Message, Program, Registration
from perene.engine.stacks import stack_file as find_stack_file
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode

STACK_TYPE = "pulumi:pulumi:Stack"
_SEVERITY = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


def run(root: Path, stack: str, stack_file: Path | None = None) -> Program:
    """Run the project's `__main__.py` for a stack and return what it declares.

    root: the directory of Pulumi.yaml; stack_file: the stack's file, found by the stack's name when it is left out.
    A PereneError that the program raises comes out as it is; so does any other exception (a fault of the program).
    """
    path = stack_file or find_stack_file(root, stack)
    config = _configuration(path)
    project = str(yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"])
    return run_program(lambda: _run_main(root), project=project, stack=stack, config=config, root=root)


def run_program(main: Callable[[], object], *, project: str, stack: str, config: dict[str, str], root: Path) -> Program:
    """Run any Pulumi program (a function) and return what it declares. config: full key -> value, objects as JSON text."""
    results: list[Program] = []
    failures: list[BaseException] = []

    def work() -> None:
        # A thread of its own starts with empty context variables, which is where the SDK keeps the state of a run.
        try:
            results.append(_run_here(main, project=project, stack=stack, config=config, root=root))
        except BaseException as failure:  # noqa: BLE001 - it is raised again in the calling thread
            failures.append(failure)

    with _collector_paused():
        thread = threading.Thread(target=work, name=f"program-{stack}", daemon=True)
        thread.start()
        thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _run_here(main: Callable[[], object], *, project: str, stack: str, config: dict[str, str], root: Path) -> Program:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Inline())
    asyncio.set_event_loop(loop)
    monitor, engine = _Monitor(project, stack), _Engine()
    try:
        settings.configure(
            settings.Settings(project=project, stack=stack, monitor=monitor, engine=engine, dry_run=False, root_directory=str(root))
        )
        set_all_config(config)
        try:
            loop.run_until_complete(run_in_stack(lambda: _nothing(main())))
        except Exception:
            monitor.raise_refusals()
            raise
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    monitor.raise_refusals()
    return Program(
        project=project,
        stack=stack,
        resources=tuple(sorted(monitor.registrations.values(), key=lambda resource: resource.urn)),
        outputs=monitor.outputs,
        messages=tuple(engine.messages),
    )


def _nothing(_: object) -> None:
    """The SDK awaits what a program returns; a script returns its globals."""


def _run_main(root: Path) -> None:
    with contextlib.chdir(root), _importable(root):
        runpy.run_path(str(root / "__main__.py"), run_name="__main__")


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    entry = str(root)
    added = entry not in sys.path
    if added:
        sys.path.insert(0, entry)
    try:
        yield
    finally:
        if added:
            sys.path.remove(entry)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Imports and registrations make many objects that stay: the cyclic collector would only walk over them, for a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _configuration(path: Path) -> dict[str, str]:
    """The stack file's configuration as the engine hands it to a program. Every problem of the file as YAML is raised at once."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as unreadable:
        raise PereneError(f"cannot be read: {unreadable}", where=path.name, exit_code=ExitCode.CANNOT_TELL) from None
    document, problems = reading.read(text, path.name)
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.CANNOT_TELL)
    values = document.get("config") or {}
    sealed = [key for key, value in values.items() if isinstance(value, dict) and set(value) == {"secure"}]
    if sealed:
        raise PereneError(
            problems=[
                Problem(
                    what="is an encrypted value, which only the engine can open",
                    where=f"{path.name}: config.{key}",
                    why="no secret belongs into configuration: the program holds references only",
                    fix="remove it, and keep the secret in the vault (perene secrets init)",
                )
                for key in sealed
            ],
            exit_code=ExitCode.CANNOT_TELL,
        )
    # The real engine hands objects over with sorted keys: in file order, texts made from them would differ between the two ways.
    return {key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in values.items()}


class _Inline(ThreadPoolExecutor):
    """Runs a call at once in the calling thread: requests to the monitor then come in one order, the same in every run."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as failure:  # noqa: BLE001 - the future carries it to whoever awaits
            future.set_exception(failure)
        return future


class _Engine(mocks.MockEngine):
    """Keeps what the program logs."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("perene.engine"))
        self.messages: list[Message] = []

    def Log(self, request: engine_pb2.LogRequest) -> Empty:  # noqa: N802 - the SDK's name
        if request.severity in _SEVERITY:
            self.messages.append(Message(_SEVERITY[request.severity], request.message, request.urn))
        return Empty()


class _NoMocks(mocks.Mocks):
    """The base class wants an object to ask; this monitor answers by itself."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError(args.typ)


class _Monitor(mocks.MockMonitor):
    """Records every registration, under the URN that the real engine would make."""

    def __init__(self, project: str, stack: str) -> None:
        super().__init__(_NoMocks())
        self.prefix = f"urn:pulumi:{stack}::{project}::"
        self.stack_urn = f"{self.prefix}{STACK_TYPE}::{project}-{stack}"
        self.registrations: dict[str, Registration] = {}
        self.outputs: dict[str, Any] = {}
        self.refusals: list[Problem] = []

    def raise_refusals(self) -> None:
        """What the monitor could not answer truly, as one error (exit 3)."""
        if self.refusals:
            raise PereneError(problems=self.refusals, exit_code=ExitCode.CANNOT_TELL)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The real engine's URN: the types of all components above, joined by `$`; the stack is not among them."""
        chain = "" if parent in ("", self.stack_urn) else parent.removeprefix(self.prefix).partition("::")[0] + "$"
        return f"{self.prefix}{chain}{type_}::{name}"

    def RegisterResource(  # noqa: N802 - the SDK's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=self.stack_urn)
        urn = self.make_urn(request.parent, request.type, request.name)
        if urn in self.registrations:
            self._refuse(
                f"two resources have the same URN: {urn}", "the second would take the place of the first", "give them different names"
            )
        if request.transforms:
            self._refuse(f"{request.name} has a transform", "only the real engine runs transforms", "set the property where it is declared")
        if request.remote:
            self._refuse(f"{request.name} is a remote component", "a plugin would have to build it", "use a component in Python")
        inputs = wire.plain(request.object)
        id_, outputs = echo.answer(request.type, request.name, inputs, request.object) if request.custom else ("", request.object)
        self.registrations[urn] = Registration(
            urn=urn,
            id=request.importId or id_,
            inputs=inputs,
            outputs=inputs if outputs is request.object else wire.plain(outputs),
            parent=None if request.parent in ("", self.stack_urn) else request.parent,
            aliases=(*request.aliasURNs, *(self._alias(alias, request) for alias in request.aliases)),
            **_options(request),
        )
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=outputs)

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Empty:  # noqa: N802 - the SDK's name
        if request.urn == self.stack_urn:
            self.outputs = wire.plain(request.outputs)
        return Empty()

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> Any:  # noqa: N802 - the SDK's name
        self._refuse(
            f"the program looks something up: {request.tok}", "the same configuration must always declare the same", "configure the value"
        )

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> Any:  # noqa: N802 - the SDK's name
        self._refuse(
            f"the program reads a foreign resource: {request.type} {request.name}", "only a cloud could answer", "configure the value"
        )

    def RegisterStackTransform(self, request: Any) -> Any:  # noqa: N802, ARG002 - the SDK's name and parameter
        self._refuse("the program registers a transform", "only the real engine runs transforms", "set the property where it is declared")

    RegisterStackInvokeTransform = RegisterStackTransform

    def _alias(self, alias: alias_pb2.Alias, request: resource_pb2.RegisterResourceRequest) -> str:
        """The URN that an alias stands for."""
        if alias.urn:
            return alias.urn
        parent = "" if alias.spec.noParent else alias.spec.parentUrn or request.parent
        return self.make_urn(parent, alias.spec.type or request.type, alias.spec.name or request.name)

    def _refuse(self, what: str, why: str, fix: str) -> None:
        problem = Problem(what=what, where="program", why=why, fix=fix)
        self.refusals.append(problem)
        raise PereneError(problems=[problem], exit_code=ExitCode.CANNOT_TELL)


def _options(request: resource_pb2.RegisterResourceRequest) -> dict[str, Any]:
    """What a request says beside its place and its properties, as fields of a Registration."""
    timeouts = {name: getattr(request.customTimeouts, name) for name in ("create", "update", "delete")}
    moments = [descriptor.name for descriptor in request.hooks.DESCRIPTOR.fields]
    return {
        "type": request.type,
        "name": request.name,
        "custom": request.custom,
        "provider": request.provider.rpartition("::")[0] or None,  # the reference is the provider's URN and its id
        "version": request.version,
        "dependencies": tuple(sorted(request.dependencies)),
        "property_dependencies": {
            key: tuple(sorted(value.urns)) for key, value in sorted(request.propertyDependencies.items()) if value.urns
        },
        "protect": request.protect,
        "ignore_changes": tuple(request.ignoreChanges),
        "deleted_with": request.deletedWith or None,
        "retain_on_delete": request.retainOnDelete,
        "delete_before_replace": request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        "replace_on_changes": tuple(request.replaceOnChanges),
        "replace_with": tuple(sorted(request.replace_with)),
        "additional_secret_outputs": tuple(request.additionalSecretOutputs),
        "import_id": request.importId or None,
        "custom_timeouts": {name: value for name, value in timeouts.items() if value},
        "hooks": {moment: tuple(names) for moment in moments if (names := getattr(request.hooks, moment))},
    }
