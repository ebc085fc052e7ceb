"""An operation on data or a guard, with its two lines in the audit: what was begun, and how it ended."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perene.audit.chain import Chain, writer_name
from perene.audit.store import Store, open_store
from perene.contract.tier import TierDocument
from perene.engine.stacks import project_root
from perene.errors import PereneError
from perene.private import private_directory, state

BUCKETS = ("s3:", "gs:")


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
        # The operation's own failure is what a person must see; that it began stands in the audit already.
        with contextlib.suppress(PereneError):
            chain.append(operation, stack=stack, subject=subject, result="refused" if refused else "failed", details=end)
        raise
    chain.append(operation, stack=stack, subject=subject, result="done", details={**details, **found})


@contextmanager
def record(
    operation: str,
    tier: TierDocument | str,
    *,
    subject: str = "all stores",
    url: str | None = None,
    first: bool = False,
    **details: str,
) -> Iterator[dict[str, str]]:
    """Run a command's work in view of the audit of its tier. Every command that changes data or a guard does (tests/house/test_audited.py).

    tier: its document, or the stack's name where there is none (or none yet); url: another address of its repository; first: the repository
    may not be there yet.
    """
    document = tier if isinstance(tier, TierDocument) else None
    stack = document.stack if document else str(tier)
    chain = Chain(keeper(document, url=url, first=first), writer_name())
    with audited(chain, operation, stack=stack, subject=subject, **details) as found:
        yield found


def keeper(tier: TierDocument | None, *, url: str | None = None, first: bool = False) -> Store:
    """Where an operation's lines go: beside the repository, where it can be seen from here; else to this computer's own chains.

    A bucket is seen from everywhere, so that of a guarded tier everything is in it, but for what comes before the bucket itself.
    """
    address = url or (tier.repository.url if tier and tier.repository else "")
    if address.startswith(BUCKETS):
        store = open_store(address)
        if not first:
            return store
        with contextlib.suppress(PereneError):
            store.names("audit/")
            return store
    elif address and Path(address).is_dir():
        return open_store(address)
    return open_store(str(own_directory()))


def own_directory() -> Path:
    """Where this computer keeps the audit of what it did without a repository in sight: the checkout's `.perene`, else the user's state."""
    try:
        found = state(project_root())
    except PereneError:
        return private_directory(Path.home() / ".local/state/perene")
    private_directory(found / "audit")
    return found
