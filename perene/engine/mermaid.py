"""The tier's picture as Mermaid text: stores to the left, their copies to the right, further away the further they survive."""

from collections.abc import Iterable, Iterator

from perene.contract.plan import Copy, PlannedStore

TITLES = {
    "recovery-set": "recovery sets",
    "automated": "backups of the service",
    "pitr": "point in time",
    "sealed": "sealed copy",
    "rebuild": "rebuilt from its source",
}


def diagram(system: str, stores: Iterable[PlannedStore]) -> str:
    """A Mermaid flowchart. Copies in one place are one node, whichever stores go there."""
    return "\n".join(_lines(system, list(stores))) + "\n"


def _lines(system: str, stores: list[PlannedStore]) -> Iterator[str]:
    yield "flowchart LR"
    yield f'  app(["{_text(system)}"])'
    places: dict[tuple[str, str], tuple[str, Copy]] = {}
    edges: dict[tuple[str, str, str], None] = {}
    for number, store in enumerate(stores, 1):
        node = f"s{number}"
        yield f'  {node}[("{_text(store.name)}<br/>{_text(store.kind)} {_text(store.version)}<br/>{_text(store.size)}")]'
        yield f"  app --> {node}"
        if not store.copies:
            yield f'  {node} -.- n{number}["no copy"]:::bare'
        before = node
        for copy in store.copies:
            own = copy.kind in {"pitr", "automated", "rebuild"}
            at = (f"{store.name}/{copy.kind}" if own else copy.kind, copy.where)
            place, _ = places.setdefault(at, (f"c{len(places) + 1}", copy))
            # A sealed copy is made from the repository, not from the store.
            edges[before if copy.kind == "sealed" else node, place, copy.made] = None
            before = place
    for place, copy in places.values():
        yield f'  {place}["{TITLES[copy.kind]}<br/>{_text(copy.where)}<br/>{_text(copy.kept)}"]'
    yield from (f'  {source} -- "{_text(made)}" --> {place}' for source, place, made in edges)
    yield "  classDef bare stroke:#c0392b,stroke-dasharray:4"


def _text(value: str) -> str:
    return value.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
