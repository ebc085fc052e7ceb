"""What differs between what was backed up and what came back, by name."""

from collections.abc import Collection, Mapping

from perene.contract.drill import Difference
from perene.contract.recovery_set import Count, DatabaseFingerprint, FilesContent, ItemsContent, Role

ABSENT = "absent"


def databases(name: str, expected: DatabaseFingerprint, found: DatabaseFingerprint) -> tuple[Difference, ...]:
    """Differences of one database. Sequences may be higher than recorded: they run on while a backup is made."""
    return (
        *_counts("table", name, expected.tables, found.tables),
        *_counts("large objects", name, {"": expected.large_objects}, {"": found.large_objects}),
        *_texts("object", name, expected.objects, found.objects),
        *_texts("extension", name, expected.extensions, found.extensions),
        *(
            Difference(
                kind="sequence", where=f"{name}: {sequence}", expected=f"at least {value}", found=str(found.sequences.get(sequence, ABSENT))
            )
            for sequence, value in expected.sequences.items()
            if found.sequences.get(sequence, -2) < value
        ),
    )


def roles(expected: Mapping[str, Role], found: Mapping[str, Role], unjudged: Collection[str] = ()) -> tuple[Difference, ...]:
    """Roles that are missing or have other attributes, memberships or settings. A place may have roles of its own.

    unjudged: whose SUPERUSER is not compared.
    """
    differences = []
    for name, role in expected.items():
        if name not in found:
            differences.append(Difference(kind="role", where=name, expected="present", found=ABSENT))
            continue
        for part in ("attributes", "member_of", "settings"):
            ignored = {"SUPERUSER"} if name in unjudged else set()
            wanted, there = set(getattr(role, part)) - ignored, set(getattr(found[name], part)) - ignored
            if wanted != there:
                differences.append(
                    Difference(kind=f"role {part}", where=name, expected=", ".join(sorted(wanted)), found=", ".join(sorted(there)))
                )
    return tuple(differences)


def files(expected: FilesContent, found: FilesContent) -> tuple[Difference, ...]:
    """Whether two trees are the same as a whole; `listings` names what differs."""
    if (expected.entries, expected.bytes, expected.hash) == (found.entries, found.bytes, found.hash):
        return ()
    before, after = (f"{tree.entries} entries, {tree.bytes} bytes, hash {tree.hash[:16]}" for tree in (expected, found))
    return (Difference(kind="files", where="tree", expected=before, found=after),)


def listings(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[Difference, ...]:
    """Differences between two listings of a tree: path -> what it is."""
    return _texts("file", "tree", expected, found)


def items(expected: ItemsContent, found: ItemsContent) -> tuple[Difference, ...]:
    """Differences of a store that is counted by named things."""
    return _counts("item", "store", expected.items, found.items)


def _counts(kind: str, where: str, expected: Mapping[str, Count], found: Mapping[str, Count]) -> tuple[Difference, ...]:
    differences = []
    for name in sorted({*expected, *found}):
        before, after = expected.get(name), found.get(name)
        if before == after:
            continue
        place = f"{where}: {name}" if name else where
        if before is None or after is None:
            differences.append(Difference(kind=kind, where=place, expected=_rows(before), found=_rows(after)))
        elif before.rows != after.rows:
            differences.append(Difference(kind="rows", where=place, expected=_rows(before), found=_rows(after)))
        else:
            differences.append(Difference(kind="content", where=place, expected=f"hash {before.hash}", found=f"hash {after.hash}"))
    return tuple(differences)


def _rows(count: Count | None) -> str:
    return ABSENT if count is None else f"{count.rows} rows"


def _texts(kind: str, where: str, expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[Difference, ...]:
    return tuple(
        Difference(kind=kind, where=f"{where}: {name}", expected=expected.get(name, ABSENT), found=found.get(name, ABSENT))
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    )
