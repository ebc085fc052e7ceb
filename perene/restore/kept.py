"""Names and counts of two sets of the same tier: what the later one has lost (systems.md Q4, Q6)."""

from collections.abc import Iterator

from perene.contract.recovery_set import FilesContent, PostgresContent, RecoverySet, StoreSet


def lost(before: RecoverySet, after: RecoverySet) -> list[str]:
    """Names that are gone and counts that shrank, in words. Keys of a Redis expire by themselves: fewer of them are no loss."""
    found = []
    for name, store in before.stores.items():
        if name not in after.stores:
            found.append(f"{name}: the whole store")
            continue
        now = dict(_counts(after.stores[name]))
        for item, count in _counts(store):
            if item not in now:
                found += [f"{name}: {item} is gone ({count} before)"] if count or store.kind != "redis" else []
            elif now[item] < count and store.kind != "redis":
                found.append(f"{name}: {item} has {now[item]}, before {count}")
    return found


def _counts(store: StoreSet) -> Iterator[tuple[str, int]]:
    content = store.content
    if isinstance(content, PostgresContent):
        for database, one in content.databases.items():
            yield from ((f"{database} {table}", count.rows) for table, count in one.tables.items())
    elif isinstance(content, FilesContent):
        yield "files", content.entries
    else:
        yield from ((item, count.rows) for item, count in content.items.items())
