"""The report of a tier: one page that needs nothing but itself, for whoever answers for the data."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from importlib import resources

from perene.backup.cadence import not_due
from perene.backup.sets import OnHand
from perene.contract.tier import BackupPlan, TierDocument
from perene.contract.values import Duration, TimeOfDay
from perene.health.facts import DrillFact, Evidence
from perene.health.words import age, size
from perene.report.plot import restore_times

WEEKS = 6
DAY = 86400
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MARKS = {"proven": "✓", "made": "•", "failed": "✗", "missing": "-", "none-due": "", "future": ""}
_MEANS = {
    "proven": "a set was made, restored and compared",
    "made": "a set was made, not restored yet",
    "failed": "a drill failed",
    "missing": "no set",
    "none-due": "none due: sets of large databases are weekly",
}


def page(tier: TierDocument, evidence: Evidence, now: float) -> str:
    """The whole page. now: seconds since 1970. Nothing on it comes from elsewhere, and nothing of it is a secret."""
    bad = problems(tier, evidence, now)
    style = resources.files("perene.report").joinpath("style.css").read_text()
    parts = [
        _head(tier, bad, now),
        _tiles(tier, evidence, now),
        _tier(tier, evidence),
        _calendar(tier.backups, evidence, now),
        _restores(evidence),
        _goals(tier, evidence, now),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{escape(tier.stack)}: backups and restores</title>
<style>{style}</style>
</head>
<body><main>
{"".join(parts)}
<footer>Made by perene report. A set counts as proven only once it was restored and compared.</footer>
</main></body>
</html>
"""


def problems(tier: TierDocument, evidence: Evidence, now: float) -> list[str]:
    """What keeps the promise from holding, as sentences; empty when it holds."""
    if evidence.problem:
        return [f"The evidence cannot be read: {evidence.problem}."]
    found = []
    for name, store in tier.stores.items():
        if "logical" not in store.backup.ways:
            continue
        newest, proven = evidence.newest(name), evidence.newest(name, proven=True)
        if not newest:
            found.append(f"{name} has no recovery set.")
        elif now - newest.finished > max(Duration.parse(store.goals.rpo).seconds, newest.every) + 5 * 3600:
            found.append(f"The newest set of {name} is {age(now - newest.finished)} old.")
        if newest and not proven:
            found.append(f"No set of {name} was ever restored and compared.")
    last = evidence.last_drill()
    if last and not last.passed:
        found.append(f"The last drill failed: {'; '.join(last.reasons) or 'no reason given'}.")
    if last and last.rto > last.rto_goal:
        found.append(f"The last restore took {age(last.rto)}; the goal is {age(last.rto_goal)}.")
    return found


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _head(tier: TierDocument, bad: list[str], now: float) -> str:
    verdict = "Data comes back: shown by the last drill" if not bad else "Needs attention"
    told = "".join(f"<p>{escape(one)}</p>" for one in bad)
    return f"""<h1>{escape(tier.system)} <span class="soft">{escape(tier.environment)}</span></h1>
<p class="soft">{escape(tier.stack)}, answered for by {escape(tier.owner)}. As of {_day(now)}.</p>
<div class="verdict{" bad" if bad else ""}">{verdict}</div>{told}
"""


def _tile(name: str, value: str, note: str, *, bad: bool = False) -> str:
    inner = f'<span class="soft">{name}</span><b>{escape(value)}</b><span class="soft">{escape(note)}</span>'
    return f'<div class="tile{" bad" if bad else ""}">{inner}</div>'


def _tiles(tier: TierDocument, evidence: Evidence, now: float) -> str:
    newest = max((one.finished for one in evidence.on_hand), default=None)
    proven = max((one.finished for one in evidence.on_hand if one.id in evidence.proven), default=None)
    drill = evidence.last_drill()
    held = sum(one.bytes for one in evidence.sets if newest and one.finished == newest)
    tiles = [
        _tile("Newest set", f"{age(now - newest)} old" if newest else "none", size(held) if newest else "make one now", bad=not newest),
        _tile(
            "Newest proven set", f"{age(now - proven)} old" if proven else "none", "restored and compared" if proven else "", bad=not proven
        ),
        _tile("Sets on hand", str(len(evidence.on_hand)), _keeps(tier)),
    ]
    if drill:
        late, lost = drill.rto > drill.rto_goal, drill.rpo > drill.rpo_goal
        tiles += [
            _tile("Time to restore", age(drill.rto), f"goal {age(drill.rto_goal)}", bad=late),
            _tile("Data at risk", age(drill.rpo), f"goal {age(drill.rpo_goal)}", bad=lost),
        ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _keeps(tier: TierDocument) -> str:
    keep = tier.backups.keep if tier.backups else {}
    return ", ".join(f"{count} {rule}" for rule, count in keep.items() if count) or "no plan"


def _box(kind: str, title: str, lines: Iterable[str]) -> str:
    inner = "".join(f'<div class="soft">{escape(line)}</div>' for line in lines if line)
    return f'<div class="box {kind}"><b>{escape(title)}</b>{inner}</div>'


def _tier(tier: TierDocument, evidence: Evidence) -> str:
    stores = [
        _box(
            "store", name, (f"{store.kind} {store.version}", store.volume.size if store.volume else "", "guarded" if store.guarded else "")
        )
        for name, store in tier.stores.items()
    ]
    key = [_box("key", "Encryption key", (tier.encryption_key.kind, "opens what was restored"))] if tier.encryption_key else []
    repository = tier.repository
    where = (repository.kind, f"daily at {tier.backups.at}" if tier.backups else "") if repository else ("not declared",)
    sealed = _box(
        "copy",
        "Sealed copy",
        (repository.sealed_copy or "none", _day(evidence.sealed) if evidence.sealed else "not written yet")
        if repository and repository.sealed_copy
        else ("none for this tier",),
    )
    arrow = '<div class="arrow" aria-hidden="true">→</div>'
    return f"""<h2>The tier</h2>
<div class="tier"><div class="stack">{"".join(stores + key)}</div>{arrow}
<div class="stack">{_box("copy", "Backup repository", where)}</div>{arrow}
<div class="stack">{sealed}</div></div>
"""


def day_state(plan: BackupPlan | None, evidence: Evidence, day: datetime) -> str:
    """`proven`, `made`, `failed`, `missing` or `none-due` for one day (UTC); a failed drill outweighs a set.

    A set is of the day on which it began: a long one ends on the next.
    """

    def on(moment: float) -> bool:
        return datetime.fromtimestamp(moment, UTC).date() == day.date()

    if any(on(drill.finished) and not drill.passed for drill in evidence.drills):
        return "failed"
    made = [one for one in evidence.sets if on(one.began)]
    if any(one.id in evidence.proven for one in made):
        return "proven"
    return "made" if made else "missing" if _due(plan, evidence, day) else "none-due"


def _due(plan: BackupPlan | None, evidence: Evidence, day: datetime) -> bool:
    """Whether the scheduled run of that day had to make a set: judged as the run itself did, with what was proven by then."""
    if plan is None:
        return True
    run = day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=TimeOfDay.parse(plan.at).utc_minutes)
    by_then = run.timestamp()
    proven = replace(evidence, drills=tuple(drill for drill in evidence.drills if drill.finished <= by_then)).proven
    sets = [
        OnHand(one.id, datetime.fromtimestamp(one.began, UTC), one.id in proven, (), one.reason, every=f"{one.every / DAY:.0f}d")
        for one in evidence.sets
        if one.began <= by_then
    ]
    return not not_due(plan, sets, run)


def _calendar(plan: BackupPlan | None, evidence: Evidence, now: float) -> str:
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=today.weekday() + 7 * (WEEKS - 1))
    cells = [f'<span class="head">{name}</span>' for name in _DAYS]
    for offset in range(7 * WEEKS):
        day = first + timedelta(days=offset)
        state = "future" if day > today else day_state(plan, evidence, day)
        first_of_month = " first" if day.day == 1 or offset == 0 else ""
        title = f"{day:%d %B}: {_MEANS.get(state, 'to come')}"
        cells.append(f'<span class="{state}{first_of_month}" title="{title}">{day.day} <i>{day:%b}</i><b>{_MARKS[state]}</b></span>')
    legend = "".join(f"<li>{_MARKS[state]} {text}</li>" for state, text in _MEANS.items())
    return f'<h2>Backups, day by day</h2><div class="calendar">{"".join(cells)}</div><ul class="legend">{legend}</ul>'


def _restores(evidence: Evidence) -> str:
    if not evidence.drills:
        return "<h2>Time to restore</h2><p>No drill was run yet, so nobody knows. Run: perene drill</p>"
    return f"<h2>Time to restore, as measured by drills</h2>{restore_times(evidence.drills)}"


def _cell(name: str, text: str, state: str = "") -> str:
    return f'<td data-name="{name}"{f" class={state}" if state else ""}>{escape(text)}</td>'


def _goals(tier: TierDocument, evidence: Evidence, now: float) -> str:
    rows = []
    for name, store in tier.stores.items():
        newest, proven = evidence.newest(name), evidence.newest(name, proven=True)
        rows.append(
            "<tr>"
            + _cell("Store", f"{name} ({store.kind})")
            + _cell("Newest set", f"{age(now - newest.finished)} ago, {size(newest.bytes)}" if newest else "none", "" if newest else "bad")
            + _cell("Proven", f"{age(now - proven.finished)} ago" if proven else "never", "good" if proven else "bad")
            + _cell("RPO goal", store.goals.rpo)
            + _cell("RTO goal", store.goals.rto)
            + "</tr>"
        )
    drills = "".join(_drill(drill) for drill in sorted(evidence.drills, key=lambda drill: -drill.finished)[:10])
    drill_head = "<thead><tr><th>Drill</th><th>From</th><th>Verdict</th><th>RTO</th><th>RPO</th><th>Size</th></tr></thead>"
    table = f"<h2>The last drills</h2><table>{drill_head}<tbody>{drills}</tbody></table>" if drills else ""
    head = "<thead><tr><th>Store</th><th>Newest set</th><th>Proven</th><th>RPO goal</th><th>RTO goal</th></tr></thead>"
    return f"<h2>Stores and goals</h2><table>{head}<tbody>{''.join(rows)}</tbody></table>{table}"


def _drill(drill: DrillFact) -> str:
    verdict = "came back whole" if drill.passed else f"failed: {'; '.join(drill.reasons)}"
    return (
        "<tr>"
        + _cell("Drill", _day(drill.finished))
        + _cell("From", drill.source)
        + _cell("Verdict", verdict, "good" if drill.passed else "bad")
        + _cell("RTO", f"{age(drill.rto)} of {age(drill.rto_goal)}", "bad" if drill.rto > drill.rto_goal else "")
        + _cell("RPO", f"{age(drill.rpo)} of {age(drill.rpo_goal)}", "bad" if drill.rpo > drill.rpo_goal else "")
        + _cell("Size", size(drill.bytes))
        + "</tr>"
    )
