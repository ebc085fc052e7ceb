"""One reason why a change is as bad as it is."""

from typing import NamedTuple

from perene.safety.kinds import Effect


class Judgement(NamedTuple):
    """effect: the class; reason: one sentence; way_out: what to do instead."""

    effect: Effect
    reason: str
    way_out: str
