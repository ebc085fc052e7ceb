"""The rules between fields, as one table. Each is a named function: Tier -> problems with what, where (the path), why and fix."""

from collections.abc import Callable, Iterator

from infra.config import rules_backups, rules_cloud_sql, rules_cross_checks, rules_services, rules_stores, rules_tier
from infra.config.model import Tier
from perene.errors import Problem

Rule = Callable[[Tier], Iterator[Problem]]

RULES: tuple[Rule, ...] = (
    *rules_tier.RULES,
    *rules_stores.RULES,
    *rules_cloud_sql.RULES,
    *rules_services.RULES,
    *rules_cross_checks.RULES,
    *rules_backups.RULES,
)
