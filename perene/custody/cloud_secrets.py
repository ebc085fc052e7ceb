"""What every cloud vault does: read, and write the first value into a shell that the program declared; what exists is never changed."""

from collections.abc import Iterable
from typing import Protocol

from perene.custody.material import Content
from perene.custody.needed import Needed
from perene.errors import PereneError
from perene.exit_codes import ExitCode


class Vault(Protocol):
    """Where secrets live. A cloud's secret has one value, under the key ''."""

    def read(self, secrets: Iterable[Needed]) -> dict[str, Content]:
        """Name -> content of those that have a value."""

    def latest(self, secret: Needed) -> bytes:
        """The value, as somebody who may read nothing but that. PereneError (exit 3) without one."""

    def create(self, secret: Needed, content: Content) -> bool:
        """Write the first value; False when another run was faster."""

    def retire(self, secret: Needed) -> None:
        """Take a value out of use; for as long as the service keeps it, a person can bring it back."""


def no_shell(secret: Needed) -> PereneError:
    return PereneError(
        "the secret is not declared yet",
        where=f"{secret.ref.vault} {secret.ref.scope}/{secret.name}",
        why="the program makes a secret's shell with its guards and readers; only then is its value written, once",
        fix="run `pulumi up` for this stack, then this command again",
        exit_code=ExitCode.CANNOT_TELL,
    )


def refused(secret: Needed, why: str) -> PereneError:
    return PereneError(
        "the vault refused",
        where=f"{secret.ref.vault} {secret.ref.scope}/{secret.name}",
        why=why,
        fix="look at the rights of the identity that you are logged in as: it reads and writes versions of the tier's secrets",
        exit_code=ExitCode.CANNOT_TELL,
    )
