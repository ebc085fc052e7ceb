"""A drill's set from the sealed copy alone: no repository and no password of one, only the offline identity."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perene.backup import archive, seal
from perene.backup.places import open_place
from perene.backup.progress import Stages
from perene.backup.repository import Repository
from perene.contract.recovery_set import RecoverySet


@contextmanager
def brought(address: str, identity: Path, *, wanted: str, work: Path, stages: Stages) -> Iterator[tuple[RecoverySet, Repository]]:
    """A sealed set in a repository of its own, which is gone afterwards.

    address: where the sealed copies lie; wanted: a set, or `newest`; work: room for the set, compressed.
    """
    place = open_place(address)
    name = seal.newest(place, wanted, address)
    stages.note(f"{name} of {address}")
    password = secrets.token_hex(32).encode()
    with tempfile.TemporaryDirectory(dir=work, prefix="perene-sealed-") as folder:
        repository = Repository(url=str(Path(folder) / "repository"), password=lambda: password, host="sealed")
        repository.init()
        with seal.reading(place, name) as stream:
            manifest = archive.bring(stream, identity, repository, work=Path(folder), stages=stages, imported="")
        yield manifest, repository
