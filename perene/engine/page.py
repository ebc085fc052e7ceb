"""A plan document as one page that needs nothing else: no script, no request, dark and light, from a telephone to a large screen."""

from html import escape
from pathlib import Path

from perene.contract.plan import Comparison, Copy, PlanDocument, PlannedComponent, PlannedResource, PlannedStore, ResourceDifference
from perene.engine.mermaid import TITLES
from perene.errors import PereneError

STYLE = Path(__file__).parent / "files" / "plan.css"
ARROW = (
    '<svg class="arrow" viewBox="0 0 34 20" aria-hidden="true"><path d="M1 10h28M22 3l8 7-8 7" fill="none" stroke="currentColor"'
    ' stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)


def write(plan: PlanDocument, path: Path) -> None:
    """Write the page; PereneError (exit 1) when the file cannot be written."""
    try:
        path.write_text(page(plan), encoding="utf-8")
    except OSError as failure:
        raise PereneError(f"cannot be written: {failure.strerror}", where=str(path)) from None


def page(plan: PlanDocument) -> str:
    """The whole page as HTML text, the same bytes for the same plan."""
    title = f"{plan.system} {plan.environment}"
    guard = (
        '<span class="badge good">guarded: nothing in it can be deleted</span>'
        if plan.guarded
        else '<span class="badge warn">not guarded: deletes are allowed</span>'
    )
    key = f"<p class=soft>Encryption key: <code>{escape(plan.key)}</code>, kept in the vault, never in a copy.</p>" if plan.key else ""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}: where the data is and how it comes back</title>",
            f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
            f"<header><h1>{escape(title)}</h1>{guard}</header>",
            f'<p class="meta">Stack {escape(plan.stack)}, namespace {escape(plan.namespace)}, answered for by {escape(plan.owner)}.</p>',
            *(f'<p class="caution">{escape(message)}</p>' for message in plan.messages),
            "<h2>Where the data is, and every way it comes back</h2>",
            *map(_store, plan.stores),
            key,
            f"<h2>Everything declared: {sum(plan.counts.values())} resources</h2>",
            *map(_component, plan.components),
            *([_comparison(plan.against, plan.stack)] if plan.against else []),
            "<h2>The picture as text</h2>",
            f"<details><summary><b>Mermaid</b></summary><pre>{escape(plan.mermaid)}</pre></details>",
            "</main></body></html>",
            "",
        ]
    )


def _store(store: PlannedStore) -> str:
    none = (
        '<div class="card copy none"><h4>no copy</h4><p class="proof bad">When this volume is lost, so is the data.</p></div>'
        if not store.copies
        else ""
    )
    return (
        f'<section class="flow"><div class="card store"><h3>{escape(store.name)}</h3>'
        f'<p class="size">{escape(store.size)}</p><p class="soft">{escape(store.kind)} {escape(store.version)}, generation'
        f" {store.generation}<br>{escape(store.where)}</p>"
        f'<div class="goals"><div><b>{escape(store.rpo)}</b>may be lost at most</div>'
        f"<div><b>{escape(store.rto)}</b>until it is back</div></div>"
        f'</div>{ARROW}<div class="copies">{"".join(map(_copy, store.copies))}{none}</div></section>'
    )


def _copy(copy: Copy) -> str:
    proof = (
        f'<p class="proof good">restored and compared {escape(copy.proven)}</p>'
        if copy.proven
        else '<p class="proof warn">unproven: not restored on a schedule</p>'
    )
    caution = f'<p class="caution">{escape(copy.caution)}</p>' if copy.caution else ""
    return (
        f'<div class="card copy {copy.kind}"><h4>{TITLES[copy.kind]}</h4><code>{escape(copy.where)}</code>'
        f"<dl><dt>made</dt><dd>{escape(copy.made)}</dd><dt>kept</dt><dd>{escape(copy.kept)}</dd></dl>{proof}{caution}</div>"
    )


def _component(component: PlannedComponent) -> str:
    rows = "".join(map(_resource, component.resources))
    store = f'<span class="soft">store {escape(component.store)}</span>' if component.store else ""
    return (
        f'<details><summary><b>{escape(component.name)}</b><span class="soft">{escape(component.type)}</span>{store}'
        f'<span class="count">{len(component.resources)}</span></summary><ul class="rows">{rows}</ul></details>'
    )


def _resource(resource: PlannedResource) -> str:
    tags = [f'<span class="tag size">{escape(resource.size)}</span>'] if resource.size else []
    tags += ['<span class="tag data">holds data</span>'] if resource.data else []
    tags += [f'<span class="tag">{escape(guard)}</span>' for guard in resource.guards]
    return (
        f"<li><b>{escape(resource.type.rpartition(':')[2])}</b><code>{escape(resource.object or resource.name)}</code>"
        f"<span>{''.join(tags)}</span></li>"
    )


def _comparison(against: Comparison, stack: str) -> str:
    rows = "".join(_difference(difference, stack, against.stack) for difference in against.differences)
    return (
        f"<h2>{escape(stack)} against {escape(against.stack)}</h2>"
        f'<p class="meta">{against.same} resources alike, {len(against.differences)} not.</p>{rows}'
    )


def _difference(difference: ResourceDifference, here: str, there: str) -> str:
    name = f"<code>{escape(difference.key)}</code>"
    if difference.found != "differs":
        only, tone = (here, "good") if difference.found == "only-here" else (there, "warn")
        return f'<p class="only"><span class="badge {tone}">only in {escape(only)}</span> {name}</p>'
    rows = "".join(
        f"<tr><td><code>{escape(one.path)}</code></td><td>{_value(one.here)}</td><td>{_value(one.there)}</td></tr>"
        for one in difference.properties
    )
    return (
        f'<details><summary>{name}<span class="count">{len(difference.properties)}</span></summary><div class="scroll"><table>'
        f"<tr><th>property</th><th>{escape(here)}</th><th>{escape(there)}</th></tr>{rows}</table></div></details>"
    )


def _value(value: object) -> str:
    return '<span class="soft">not set</span>' if value is None else f"<code>{escape(str(value))}</code>"
