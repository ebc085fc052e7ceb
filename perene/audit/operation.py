"""An operation on data or a guard, with its two lines in the audit: what was begun, and how it ended."""

from collections.abc import Iterator
from contextlib import contextmanager

from perene.audit.chain import Chain
from perene.errors import PereneError


@contextmanager
def audited(chain: Chain, operation: str, *, stack: str, subject: str, **details: str) -> Iterator[dict[str, str]]:
    """Run an operation in view of the audit. The yielded mapping takes what is known only at its end (a set's id, bytes, a verdict).

    The first line is written before anything is touched, so that a killed operation is seen too; when it cannot be written, the operation
    does not begin. A failure is a line as well, with the kind of error and never its text, which may hold a value.
    """
    chain.append(operation, stack=stack, subject=subject, result="begun", details=details)
    found: dict[str, str] = {}
    try:
        yield found
    except BaseException as error:
        refused = isinstance(error, PereneError) and error.exit_code in {2, 3}
        end = {**details, **found, "error": type(error).__name__}
        chain.append(operation, stack=stack, subject=subject, result="refused" if refused else "failed", details=end)
        raise
    chain.append(operation, stack=stack, subject=subject, result="done", details={**details, **found})
