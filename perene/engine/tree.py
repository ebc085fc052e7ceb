"""A plan document as text for a terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from perene.contract.plan import Comparison, Copy, PlanDocument, PlannedResource, PlannedStore, PropertyDifference
from perene.engine.mermaid import TITLES

LIMIT = 6  # properties of one resource shown in a comparison


def tree(plan: PlanDocument) -> RenderableType:
    """The tier: its stores with their ways back, its components with their resources, and the comparison where there is one."""
    guarded = Text("guarded: every resource is protected", "green") if plan.guarded else Text("not guarded: deletes are allowed", "yellow")
    root = Tree(Text.assemble((f"{plan.system} {plan.environment}", "bold"), f"  stack {plan.stack}, owner {plan.owner}  ", guarded))
    for store in plan.stores:
        _store(root, store)
    if plan.key:
        root.add(Text.assemble("encryption key  ", (plan.key, "cyan")))
    declared = root.add(Text(f"declared: {sum(plan.counts.values())} resources in {len(plan.components)} components", "bold"))
    for component in plan.components:
        branch = declared.add(Text.assemble((component.name, "bold"), f"  {component.type}"))
        for resource in component.resources:
            branch.add(_resource(resource))
    parts: list[RenderableType] = [root]
    parts += [Text(f"warning: {message}", "yellow") for message in plan.messages]
    parts += [_comparison(plan.against, plan.stack)] if plan.against else []
    return Group(*parts)


def _store(root: Tree, store: PlannedStore) -> None:
    title = f"{store.kind} {store.version}, generation {store.generation}, {store.size}"
    branch = root.add(Text.assemble(("store ", "bold"), (store.name, "bold cyan"), f"  {title}  {store.where}"))
    branch.add(Text(f"goals: at most {store.rpo} of work lost, back within {store.rto}"))
    for copy in store.copies:
        branch.add(_copy(copy))
    if not store.copies:
        branch.add(Text("NO COPY: when its volume is lost, so is the data", "bold red"))


def _copy(copy: Copy) -> Text:
    proof = (f"restored and compared {copy.proven}", "green") if copy.proven else ("not restored on a schedule: unproven", "yellow")
    text = Text.assemble((f"{TITLES[copy.kind]}  ", "bold"), f"{copy.where}; made {copy.made}; kept: {copy.kept}; ", proof)
    return text.append(f"; {copy.caution}", "yellow") if copy.caution else text


def _resource(resource: PlannedResource) -> Text:
    kind = resource.type.rpartition(":")[2]
    text = Text.assemble((kind, "cyan"), f" {resource.object or resource.name}")
    if resource.size:
        text.append(f"  {resource.size}", "bold")
    if resource.data:
        text.append("  holds data", "magenta")
    return text.append(f"  [{'; '.join(resource.guards)}]", "green") if resource.guards else text


def _comparison(against: Comparison, stack: str) -> Tree:
    root = Tree(Text(f"{stack} against {against.stack}: {against.same} resources alike, {len(against.differences)} not", "bold"))
    for difference in against.differences:
        match difference.found:
            case "only-here":
                root.add(Text(f"+ only in {stack}: {difference.key}", "green"))
            case "only-there":
                root.add(Text(f"- only in {against.stack}: {difference.key}", "red"))
            case "differs":
                branch = root.add(Text(f"~ {difference.key}", "yellow"))
                for line in _properties(difference.properties):
                    branch.add(Text(line))
    return root


def _properties(properties: tuple[PropertyDifference, ...]) -> Iterator[str]:
    for one in properties[:LIMIT]:
        yield f"{one.path}: {_short(one.here)} | {_short(one.there)}"
    if len(properties) > LIMIT:
        yield f"and {len(properties) - LIMIT} more (--json shows all)"


def _short(value: object) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
