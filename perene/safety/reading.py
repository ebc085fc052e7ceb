"""Reads what the engine prints (preview, destroy and refresh as JSON, or the event log) into a step document."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from perene.contract.steps import Diagnostic, PropertyChange, ResourceState, Step, StepDocument, Way
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.safety import events

_OPTIONS = (
    "protect",
    "retainOnDelete",
    "ignoreChanges",
    "deletedWith",
    "delete",
    "pendingReplacement",
    "resourceHooks",
    "replacementTrigger",
    "replaceOnChanges",
    "importID",
    "aliases",
    "hideDiff",
    "additionalSecretOutputs",
)


class RawState(msgspec.Struct, omit_defaults=True):
    """One side of an engine step; unknown fields are skipped, not decoded."""

    type: str
    urn: str = ""
    id: str | None = None
    parent: str | None = None
    provider: str | None = None
    custom: bool = True
    inputs: msgspec.Raw = msgspec.Raw(b"{}")
    outputs: msgspec.Raw = msgspec.Raw(b"{}")
    propertyDependencies: dict[str, list[str] | None] | None = None  # noqa: N815 - the engine's names
    protect: bool = False
    retainOnDelete: bool = False  # noqa: N815
    ignoreChanges: list[str] | None = None  # noqa: N815
    deletedWith: str | None = None  # noqa: N815
    delete: bool = False
    pendingReplacement: bool = False  # noqa: N815
    resourceHooks: dict[str, Any] | None = None  # noqa: N815
    replacementTrigger: Any = None  # noqa: N815
    replaceOnChanges: list[str] | None = None  # noqa: N815
    importID: str | None = None  # noqa: N815
    aliases: list[Any] | None = None
    hideDiff: list[str] | None = None  # noqa: N815
    additionalSecretOutputs: list[str] | None = None  # noqa: N815


class _RawDiff(msgspec.Struct):
    kind: str


class _RawStep(msgspec.Struct):
    op: str
    urn: str
    oldState: RawState | None = None  # noqa: N815
    newState: RawState | None = None  # noqa: N815
    detailedDiff: dict[str, _RawDiff] | None = None  # noqa: N815
    diffReasons: list[str] | None = None  # noqa: N815
    replaceReasons: list[str] | None = None  # noqa: N815


class _RawDiagnostic(msgspec.Struct):
    message: str = ""
    severity: str = "info"
    urn: str = ""


class _RawPreview(msgspec.Struct):
    steps: list[_RawStep]
    config: dict[str, Any] | None = None
    diagnostics: list[_RawDiagnostic] | None = None
    duration: int | None = None
    changeSummary: dict[str, int] | None = None  # noqa: N815


def read_steps(path: Path) -> StepDocument:
    """Read a file of any of the known forms. PereneError (exit 3) when it cannot be read or is none of them."""
    try:
        content = path.read_bytes()
    except OSError as unreadable:
        raise PereneError(f"cannot read it: {unreadable.strerror}", where=str(path), exit_code=ExitCode.CANNOT_TELL) from None
    return parse_steps(content, str(path))


def parse_steps(content: bytes, where: str) -> StepDocument:
    """The same from bytes. where: the origin, for errors."""
    head = content.lstrip()[:200]
    if head.startswith(b"{") and b'"document"' in head and b'"steps"' in head:
        return StepDocument.parse(content, where)
    from_events = events.looks_like(head)
    if from_events:
        content = events.as_preview(content, where)
    try:
        return _document(msgspec.json.decode(content, type=_RawPreview), options_listed=not from_events)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as invalid:
        raise PereneError(
            f"it is no preview that the gate understands: {invalid}",
            where=where,
            why="a document that cannot be read in full says nothing about what is lost",
            fix="pulumi preview --json --show-replacement-steps --show-sames > preview.json, with nothing else on stdout",
            exit_code=ExitCode.CANNOT_TELL,
        ) from None


def _document(preview: _RawPreview, *, options_listed: bool) -> StepDocument:
    # An event names protect and retainOnDelete only: what its other options hide counts like unlisted resources.
    ops = Counter(step.op for step in preview.steps)
    summary = preview.changeSummary
    steps = tuple(map(_step, preview.steps))
    errors = [diagnostic for diagnostic in preview.diagnostics or () if diagnostic.severity == "error" or _is_error(diagnostic.message)]
    unreachable = any("unreachable" in d.message or "failed to read resource state" in d.message for d in preview.diagnostics or ())
    return StepDocument.model_construct(
        document="steps",
        version=1,
        stack=_stack(preview.steps),
        way=_way(ops),
        asked=not unreachable,
        with_sames=options_listed and (summary is None or ops["same"] + ops["refresh"] >= summary.get("same", 0)),
        failed=bool(errors) or summary is None,
        gaps=_gaps(preview, ops),
        tier=_tier(preview.config or {}),
        steps=steps,
        diagnostics=tuple(
            Diagnostic.model_construct(severity=d.severity, message=d.message, urn=d.urn)
            for d in preview.diagnostics or ()
            if d.severity != "info"
        ),
    )


def _is_error(message: str) -> bool:
    return message.startswith("error:") or "Preview failed" in message


def _gaps(preview: _RawPreview, ops: Counter[str]) -> tuple[str, ...]:
    """What the document itself says is missing from it."""
    gaps = []
    if not preview.steps:
        gaps.append("it holds no step at all, not even the stack")
    if preview.duration is None:
        gaps.append("it has no duration: it is not the whole of what the engine printed")
    if preview.changeSummary is None:
        gaps.append("it has no summary: the engine broke off")
    listed = {"replace": ops["replace"], "create": ops["create"] + ops["import"], "update": ops["update"], "delete": ops["delete"]}
    for op, count in (preview.changeSummary or {}).items():
        if op in listed and listed[op] < count:
            gaps.append(f"its summary counts {count} x {op}, its steps only {listed[op]}")
    return tuple(gaps)


def _tier(config: dict[str, Any]) -> str:
    value = config.get("perene:tier", "")
    return value if isinstance(value, str) else json.dumps(value)


def _stack(steps: list[_RawStep]) -> str:
    words = steps[0].urn.split(":") if steps else []
    return words[2] if len(words) > 2 else ""


def _way(ops: Counter[str]) -> Way:
    if ops["refresh"] and not ops["create"] and not ops["same"]:
        return "pulumi-refresh"
    changing = {op for op in ops if op not in {"same", "read"}}
    return "pulumi-destroy" if changing == {"delete"} and not ops["same"] else "pulumi-preview"


def _step(step: _RawStep) -> Step:
    old, new = step.oldState, step.newState
    keep_outputs = step.op in {"update", "refresh"}
    old_state = _state(old, keep_outputs, None, None) if old else None
    new_state = _state(new, keep_outputs, old, old_state) if new else None
    changes = {path: diff.kind for path, diff in (step.detailedDiff or {}).items()}
    if not changes and step.op not in {"same", "refresh"}:
        changes = dict.fromkeys(step.diffReasons or (), "update")
    return Step.model_construct(
        op=step.op,
        urn=step.urn,
        old=old_state,
        new=new_state,
        changes=tuple(PropertyChange.model_construct(path=path, kind=kind) for path, kind in changes.items()),
        replace_reasons=tuple(step.replaceReasons or ()),
    )


def _state(state: RawState, keep_outputs: bool, twin: RawState | None, made: ResourceState | None) -> ResourceState:
    same_inputs = twin is not None and made is not None and bytes(state.inputs) == bytes(twin.inputs)
    return ResourceState.model_construct(
        type=state.type,
        id=state.id,
        parent=state.parent,
        provider=state.provider,
        custom=state.custom,
        inputs=made.inputs if same_inputs and made else _tree(state.inputs),
        outputs=_tree(state.outputs) if keep_outputs else {},
        options={name: value for name in _OPTIONS if (value := getattr(state, name)) not in (None, False, [], {})},
        depends={name: tuple(urns) for name, urns in (state.propertyDependencies or {}).items() if urns},
    )


def _tree(raw: msgspec.Raw) -> dict[str, Any]:
    if bytes(raw) == b"null":
        return {}
    return msgspec.json.decode(raw, type=dict[str, Any])
