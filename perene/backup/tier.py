"""Where a job or an operator finds the tier document, and the repository that it names."""

import json
from pathlib import Path

from perene.backup import process
from perene.backup.repository import Repository
from perene.contract.tier import Login, Store, TierDocument
from perene.custody.resolve import resolve
from perene.errors import PereneError
from perene.exit_codes import ExitCode

MOUNTED = Path("/etc/perene/tier.json")


def read_tier(file: Path | None, namespace: str | None) -> TierDocument:
    """The document from a file, from the job's mount, or from the cluster. PereneError (exit 3) when there is none."""
    if file or (namespace is None and MOUNTED.exists()):
        return TierDocument.read(file or MOUNTED)
    if namespace is None:
        raise PereneError(
            "no tier document",
            why="nothing says what to back up or where to",
            fix="name its namespace with --namespace, or a file with --tier (`pulumi stack output tier --json`)",
            exit_code=ExitCode.USAGE,
        )
    command = ["kubectl", "--request-timeout=10s", "--namespace", namespace, "get", "configmap", "perene-tier", "--output=json"]
    answer = process.run(command, what="reading the tier document from the cluster")
    return TierDocument.parse(json.loads(answer)["data"]["tier.json"], f"configmap {namespace}/perene-tier")


def open_repository(tier: TierDocument, *, url: str | None = None, cache: Path | None = None) -> Repository:
    """The tier's repository. url: another address of the same repository (a mount on this computer)."""
    if tier.repository is None:
        raise PereneError(f"{tier.stack} has no backup repository", fix="declare backups.repository", exit_code=ExitCode.CANNOT_TELL)
    reference = tier.repository.password
    return Repository(url=url or tier.repository.url, password=lambda: resolve(reference).rstrip(b"\n"), host=tier.stack, cache=cache)


def login_with(store: Store, name: str, *rights: str) -> Login:
    """The store's first login with one of these rights, in the order of preference."""
    for right in rights:
        for user, given in store.rights.items():
            if given == right and user in store.logins:
                return store.logins[user]
    raise PereneError(
        f"no login with the right {' or '.join(rights)}", where=name, fix="declare a user with it", exit_code=ExitCode.CANNOT_TELL
    )
