"""The plot of restore times: one dot per drill, the goal as a line."""

from collections.abc import Sequence
from datetime import UTC, datetime

from perene.health.facts import DrillFact
from perene.health.words import age

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 18, 34


def restore_times(drills: Sequence[DrillFact]) -> str:
    """An SVG of `rto` over time. The scale reaches from zero to a fifth above the largest of values and goal, so that heights compare."""
    rows = sorted(drills, key=lambda drill: drill.finished)
    first, last = rows[0].finished, rows[-1].finished
    goal = rows[-1].rto_goal
    worst = max(drill.rto for drill in rows)
    # a goal far above everything would press the dots to the floor: it is then named instead of drawn to scale
    shown = goal <= 20 * worst
    top = 1.2 * max(worst, goal if shown else 0)

    def x(moment: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((moment - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    parts = []
    for share in (0, 0.5, 1):
        value = top * share / 1.2
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    if shown:
        parts.append(f'<line class="goal" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(goal):.1f}" y2="{y(goal):.1f}"/>')
        parts.append(f'<text class="goal-text" x="{WIDTH - RIGHT}" y="{y(goal) - 6:.1f}" text-anchor="end">goal {age(goal)}</text>')
    else:
        parts.append(f'<text class="goal-text" x="{WIDTH - RIGHT}" y="{TOP}" text-anchor="end">goal {age(goal)}, far above</text>')
    line = " ".join(f"{x(drill.finished):.1f},{y(drill.rto):.1f}" for drill in rows if drill.passed)
    parts.append(f'<polyline class="path" points="{line}"/>')
    for drill in rows:
        verdict = "came back" if drill.passed else "failed"
        title = f"<title>{_date(drill.finished)}: {_short(drill.rto)}, {verdict}</title>"
        place = f'cx="{x(drill.finished):.1f}" cy="{y(drill.rto):.1f}"'
        parts.append(f'<circle class="{"good" if drill.passed else "bad"}" r="5" {place}>{title}</circle>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{_date(first)}</text>')
    if last > first:
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{_date(last)}</text>')
    label = f"Restore times of {len(rows)} drills, the last {_short(rows[-1].rto)}, the goal {age(goal)}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _short(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else age(seconds)


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b")
