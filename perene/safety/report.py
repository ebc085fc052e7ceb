"""A verdict for people: on a terminal, and as Markdown for a pull request. Worst first, then the loss budget, then rights."""

import re

from perene.contract.verdict import Finding, Verdict

MARKER = "<!-- perene gate {stack} -->"
_SIGN = {"LOSES-DATA": "🛑", "WEAKENS": "⚠️", "DISRUPTIVE": "🔁", "SAFE": "✅"}
_WAY = {
    "pulumi-preview": "previewed",
    "pulumi-destroy": "a destroy, previewed",
    "pulumi-refresh": "drift: what the cloud changed",
    "embedded": "dry run on the cluster",
    "declared": "DECLARED, not previewed: what two commits say, without looking at any state",
}


def name_of(finding: Finding) -> str:
    """A short name: `main-g1 (DatabaseInstance)`."""
    return f"{finding.urn.rsplit('::', 1)[-1]} ({finding.type.rsplit(':', 1)[-1]})"


def summary(verdict: Verdict) -> str:
    """One line: the worst class, how it was seen, how many of each."""
    counts = ", ".join(f"{count} {name}" for name, count in reversed(verdict.counts.items()) if count) or "nothing changes"
    certain = "" if verdict.certain else "; CANNOT TELL everything (below)"
    return f"{verdict.stack}: {verdict.effect} ({counts}); {_WAY[verdict.way]}{certain}"


def terminal(verdict: Verdict) -> str:
    """The verdict as plain text."""
    lines = [summary(verdict)]
    for gap in verdict.gaps:
        lines += [f"  CANNOT TELL  {gap.what}", f"      hides at worst: {gap.hides}", f"      way out: {gap.fix}"]
    for finding in verdict.findings:
        waived = f"  [waived by {finding.waived}]" if finding.waived else ""
        lines.append(f"  {finding.effect:<11}  {finding.operation}  {name_of(finding)}{waived}")
        lines += [f"      {reason}" for reason in finding.reasons]
        if finding.effect not in {"SAFE"} and finding.way_out:
            lines.append(f"      way out: {finding.way_out}")
        if finding.effect in {"WEAKENS", "LOSES-DATA"}:
            lines.append(f"      waiver: {finding.digest}" if finding.waivable else "      no waiver counts for this")
    if verdict.budget:
        lines.append("loss budget")
    for budget in verdict.budget:
        proven = budget.proven or "never: unproven"
        lines.append(f"  {budget.store} ({budget.kind}): RPO {budget.rpo}, RTO {budget.rto}, last proven restore: {proven}")
        lines += [f"      changes: {change}" for change in budget.changes]
    if verdict.rights:
        lines.append("rights")
    lines += [f"  {right.change}  {right.role} to {right.who} on {right.on}" for right in verdict.rights]
    return "\n".join(lines) + "\n"


def markdown(verdict: Verdict) -> str:
    """The verdict for a pull request. It starts with a marker by which one comment is found and edited in place."""
    lines = [MARKER.format(stack=verdict.stack), f"### {_SIGN[verdict.effect]} {_cell(summary(verdict))}", ""]
    if verdict.gaps:
        lines += ["**Cannot tell**", ""]
        lines += [f"- {_cell(gap.what)}: may hide {gap.hides}. Way out: {_cell(gap.fix)}" for gap in verdict.gaps]
        lines.append("")
    serious = [finding for finding in verdict.findings if finding.effect != "SAFE"]
    if serious:
        lines += ["| class | resource | what happens | way out |", "|---|---|---|---|"]
        lines += [_row(finding) for finding in serious]
        lines.append("")
    harmless = len(verdict.findings) - len(serious)
    if harmless:
        lines += [f"{harmless} harmless changes.", ""]
    if verdict.budget:
        lines += ["**Loss budget**", "", "| store | RPO | RTO | last proven restore | what changes |", "|---|---|---|---|---|"]
        for each in verdict.budget:
            proven, changes = each.proven or "never: unproven", "<br>".join(map(_cell, each.changes)) or "nothing"
            lines.append(f"| {_cell(each.store)} ({each.kind}) | {_cell(each.rpo)} | {_cell(each.rto)} | {_cell(proven)} | {changes} |")
        lines.append("")
    if verdict.rights:
        lines += ["**Rights**", "", "| change | who | role | on |", "|---|---|---|---|"]
        lines += [f"| {each.change} | {_cell(_redacted(each.who))} | {_cell(each.role)} | {_cell(each.on)} |" for each in verdict.rights]
        lines.append("")
    return "\n".join(lines)


def _row(finding: Finding) -> str:
    waived = f"<br>waived by {_cell(finding.waived)}" if finding.waived else ""
    digest = f"<br>waiver: `{finding.digest}`" if finding.effect in {"WEAKENS", "LOSES-DATA"} and finding.waivable and not waived else ""
    reasons = "<br>".join(map(_cell, finding.reasons))
    cells = [f"{_SIGN[finding.effect]} {finding.effect}{waived}", _cell(name_of(finding)), f"{finding.operation}: {reasons}"]
    return f"| {' | '.join(cells)} | {_cell(finding.way_out)}{digest} |"


def _cell(text: str) -> str:
    """Text that can neither break the table nor become markup, a link or a mention."""
    clean = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return re.sub(r"([|`*_\[\]!#])", r"\\\1", clean).replace("@", "@\u200b")


def _redacted(who: str) -> str:
    """A principal without the person: what kind it is and where it belongs is enough in public."""
    kind, _, rest = who.partition(":")
    name, at, domain = rest.partition("@")
    return f"{kind}:{name[:3]}…@{domain}" if at and kind in {"user", "group"} else who
