"""The base of every contract document: frozen, strict, unknown fields refused, inputs hidden in errors."""

import json
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode


class Value(BaseModel):
    """A part of a document. Loaded through JSON only (strict models refuse lists for tuples otherwise)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Document(Value):
    """A whole document. A subclass sets `KIND` and declares `document: Literal[KIND]` and `version: Literal[n]`."""

    KIND: ClassVar[str]

    def to_json(self) -> str:
        """Canonical JSON: keys in field order, two spaces, a newline at the end; the same bytes for the same value."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> Self:
        """Read a document from JSON text. `where` names its origin in errors.

        Raises PereneError (exit 3) with every problem and never a value.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as invalid:
            raise PereneError(
                problems=[
                    Problem(
                        what=error["msg"],
                        where=f"{where}: {'.'.join(map(str, error['loc'])) or 'document'}",
                        why=f"it is not a valid {cls.KIND} document, so nothing was done",
                        fix="write it again with the perene command that made it, in a version that matches",
                    )
                    for error in invalid.errors(include_input=False, include_url=False)
                ],
                exit_code=ExitCode.CANNOT_TELL,
            ) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a document from a file; PereneError (exit 3) when it is missing, unreadable or invalid."""
        try:
            text = path.read_bytes()
        except OSError as unreadable:
            raise PereneError(f"cannot read it: {unreadable.strerror}", where=str(path), exit_code=ExitCode.CANNOT_TELL) from None
        return cls.parse(text, str(path))
