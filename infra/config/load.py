"""Loading one tier's configuration: every problem at once, with file, path, what, why and how to fix; never a secret's value."""

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from infra.config import reading
from infra.config.model import Tier
from infra.config.rules import RULES
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode

KEY = "perene:tier"


class ConfigError(PereneError):
    """Everything that is wrong with a tier's configuration; exit code 3: refused to start."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__(problems=list(problems), exit_code=ExitCode.CANNOT_TELL)


def load_file(path: Path) -> Tier:
    """Load the tier of a stack file. The stack's name is taken from the file name `Pulumi.<stack>.yaml`."""
    value, problems = read_stack_file(path)
    return load(value, where=path.name, stack=stack_of(path), found=problems)


def stack_of(path: Path) -> str:
    """`Pulumi.direito-lux-prod.yaml` -> `direito-lux-prod`."""
    return path.name.removeprefix("Pulumi.").removesuffix(".yaml")


def read_stack_file(path: Path) -> tuple[Any, list[Problem]]:
    """The raw value of `config: perene:tier:` in a stack file, and what is wrong with the file as YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [
                Problem(
                    what="there is no such stack file",
                    where=path.name,
                    why="the tier is defined there and nowhere else",
                    fix="name one of the stacks that exist: "
                    + (", ".join(sorted(stack_of(other) for other in path.parent.glob("Pulumi.*.yaml"))) or "none"),
                )
            ]
        ) from None
    except (OSError, UnicodeDecodeError) as unreadable:
        raise ConfigError([Problem(what=f"cannot be read: {unreadable}", where=path.name, fix="save it as UTF-8 text")]) from None
    document, problems = reading.read(text, path.name)
    config = document.get("config") if isinstance(document.get("config"), dict) else None
    if config is None or KEY not in config:
        problems.append(Problem(what=f"has no `config: {KEY}:`", where=path.name, fix="start from the example in docs/configuration.md"))
        raise ConfigError(problems)
    problems += [
        Problem(
            what="is not read by the program",
            where=f"{path.name}: config.{key}",
            why="the whole tier is one value, so that a review sees all of it",
            fix=f"move it under {KEY}, or remove it",
        )
        for key in config
        if key != KEY and key.partition(":")[0] not in {"pulumi", "kubernetes"}
    ]
    return config[KEY], problems


def load(value: Any, *, where: str, stack: str, found: Iterable[Problem] = ()) -> Tier:
    """Validate a raw value (plain dicts and lists) into a Tier.

    where: what to call its origin; stack: the stack's name, whose last part must be the environment; found: problems known already.
    Raises ConfigError with all problems.
    """
    problems = list(found)
    try:
        tier: Tier | None = Tier.model_validate_json(json.dumps(value, default=str))
    except ValidationError as invalid:
        errors = invalid.errors(include_input=False, include_url=False, include_context=True)
        problems += [_explain(error, where) for error in errors]
        tier = _without_faulty_stores(value, errors)
    if tier is not None:
        problems += [
            Problem(what=fault.what, where=f"{where}: {fault.where}", why=fault.why, fix=fault.fix)
            for rule in RULES
            for fault in rule(tier)
        ]
        if stack.rpartition("-")[2] != tier.environment:
            problems.append(
                Problem(
                    what=f"says {tier.environment}, but the stack is {stack}",
                    where=f"{where}: environment",
                    why="a stack's last part is its environment, so that nobody applies prod's configuration to dev",
                    fix=f"set environment to {stack.rpartition('-')[2]}, or rename the stack",
                )
            )
    if problems or tier is None:
        raise ConfigError(problems)
    return tier


def _without_faulty_stores(value: Any, errors: list[ErrorDetails]) -> Tier | None:
    """The rest of the tier, so that its rules are judged in the same run; None when more than single stores are wrong."""
    faulty = {error["loc"][1] for error in errors if error["loc"][:1] == ("stores",) and len(error["loc"]) > 1}
    if not faulty or any(error["loc"][:1] != ("stores",) for error in errors):
        return None
    rest = {**value, "stores": {name: store for name, store in value["stores"].items() if name not in faulty}}
    try:
        return Tier.model_validate_json(json.dumps(rest, default=str))
    except ValidationError:
        return None


def _explain(error: ErrorDetails, where: str) -> Problem:
    """pydantic's error as a sentence, with the nearest known word where one was misspelt."""
    path = ".".join(_as_written(error["loc"]))
    name = path.rpartition(".")[2]
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = _siblings(error["loc"])
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}" if known else "remove it"
            return Problem(what="is no field", where=f"{where}: {path}", why="a misspelt setting would silently not count", fix=fix)
        case "missing":
            return Problem(what="is missing", where=f"{where}: {path}", fix=f"add {name}; docs/configuration.md says what it may hold")
        case "union_tag_invalid" | "union_tag_not_found":
            kinds = str(context.get("expected_tags", "see docs/configuration.md"))
            return Problem(what="has no known `kind`", where=f"{where}: {path}", fix=f"set kind to one of {kinds}")
        case "literal_error":
            return Problem(what=f"must be one of {context.get('expected')}", where=f"{where}: {path}", fix="use one of these words")
        case _:
            what = error["msg"].removeprefix("Value error, ")
            return Problem(what=what, where=f"{where}: {path}", fix="docs/configuration.md lists every field with its unit and range")


# What pydantic puts into a location that nobody has written: the arm of a plain union, and the mark of a map's key.
_ARTEFACT = re.compile(r"\[key\]|(?:literal|tuple|list|function|constrained).*\[.*")


def _as_written(location: tuple[int | str, ...]) -> list[str]:
    """An error's location as the path in the file: without the names of union arms that pydantic adds."""
    path, section = [], cast("Any", Tier)
    for part in location:
        arm = _arm(section, part)
        if arm is None and not _ARTEFACT.fullmatch(str(part)):
            path.append(str(part))
        section = arm or _step(section, part)
    return path


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The fields that the section at this place knows."""
    section: Any = Tier
    for part in location[:-1]:
        section = _arm(section, part) or _step(section, part)
    fields = section.model_fields.values() if isinstance(section, type) and issubclass(section, BaseModel) else ()
    return [field.alias for field in fields if field.alias]


def _arm(annotation: Any, part: int | str) -> type[BaseModel] | None:
    """The model of a discriminated union whose `kind` is this part of a location."""
    for model in _models(annotation):
        kind = model.model_fields.get("kind")
        if model is not annotation and kind is not None and part in get_args(kind.annotation):
            return model
    return None


def _step(annotation: Any, part: int | str) -> Any:
    """What a field's name leads to; a map's key or a list's index leads on to the values' own annotation."""
    for model in _models(annotation):
        for field in model.model_fields.values():
            if field.alias == part:
                return field.annotation
    return annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
