"""Who may do what with backups: one matrix, rendered by each provider's bucket and vault, and checked as it stands.

Identities are jobs, not people; a person breaks glass with a role of their own that is not made here.
"""

from enum import StrEnum


class Right(StrEnum):
    """A right on a bucket's objects."""

    LOOK = "look"  # at the bucket's own settings, not at its objects
    READ = "read"
    CREATE = "create"
    DELETE_LOCKS = "delete-locks"  # restic makes and removes its own lock objects
    DELETE = "delete"


class Identity(StrEnum):
    """A job's identity; its Kubernetes service account is `perene-<identity>`."""

    BACKUP = "backup"
    RETENTION = "retention"
    DRILL = "drill"
    SEAL = "seal"
    EXPORTER = "exporter"


WORKING: dict[Identity, tuple[Right, ...]] = {
    Identity.BACKUP: (Right.READ, Right.CREATE, Right.DELETE_LOCKS),
    Identity.RETENTION: (Right.READ, Right.CREATE, Right.DELETE),
    Identity.DRILL: (Right.READ, Right.CREATE, Right.DELETE_LOCKS),
    Identity.SEAL: (Right.READ, Right.CREATE, Right.DELETE_LOCKS),
    # It reads what the jobs leave beside the repository; without the password the repository itself tells it nothing.
    Identity.EXPORTER: (Right.LOOK, Right.READ),
}
SEALED: dict[Identity, tuple[Right, ...]] = {
    Identity.SEAL: (Right.CREATE,),
    Identity.DRILL: (Right.READ,),
    Identity.EXPORTER: (Right.LOOK,),
}
# Which job reads which secret. Nobody but the drill opens the application's key; the backup copies the sentinel that is sealed with it.
SECRETS: dict[str, tuple[Identity, ...]] = {
    "restic": (Identity.BACKUP, Identity.RETENTION, Identity.DRILL, Identity.SEAL),
    "sentinel": (Identity.BACKUP,),
    "signing": (Identity.DRILL,),
    "encryption-key": (Identity.DRILL,),
}
# Of these there is one for each generation of the key.
GENERATIONS = ("encryption-key", "sentinel")
