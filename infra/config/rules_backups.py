"""Rules about recovery sets: when, where to, for how long."""

from collections.abc import Iterator

from infra.config.model import Backups, Store, Tier
from infra.config.rules_cloud_sql import WINDOW_MINUTES, cloud_sql_stores
from infra.config.stores import CloudSql
from perene.contract.values import Duration, Size
from perene.errors import Problem

DAY = 86400


WEEKLY_ABOVE = Size.parse("200GiB")
# A weekly set, a day of trying again, and nothing to spare.
WEEKLY_RPO = 8 * DAY


def _whole_days(duration: Duration) -> bool:
    return duration.seconds % DAY == 0 and duration.seconds >= DAY


def sets_keep_clear_of_automated_backups(tier: Tier) -> Iterator[Problem]:
    if not tier.backups:
        return
    at = tier.backups.at.utc_minutes
    for where, store in cloud_sql_stores(tier):
        start = store.backups.at.utc_minutes
        if (at - start) % 1440 < WINDOW_MINUTES or (start - at) % 1440 < 60:
            yield Problem(
                what=f"the recovery set at {tier.backups.at} meets the backup window of {where} from {store.backups.at}",
                where="backups.at",
                why="two backups at once slow each other down, and a long export can make the automated one fail",
                fix="start an hour before the window, or four hours after its start",
            )
        maintenance = store.maintenance.at.utc_minutes
        if (maintenance - at) % 1440 < 60 or (at - maintenance) % 1440 < 60:
            yield Problem(
                what=f"the recovery set at {tier.backups.at} meets the maintenance of {where} at {store.maintenance.at}",
                where="backups.at",
                why="a restart breaks off the dump that runs",
                fix="keep an hour between them",
            )


def something_is_kept(tier: Tier) -> Iterator[Problem]:
    if not tier.backups:
        return
    keep = tier.backups.keep
    if keep.daily < 2:
        yield Problem(
            what=f"keeps {keep.daily} daily sets",
            where="backups.keep.daily",
            why="with one, a set that is bad replaces the only good one",
            fix="keep at least 2; 7 daily and 4 weekly are usual",
        )
    if tier.guarded and (keep.daily < 7 or keep.weekly < 4):
        yield Problem(
            what=f"keeps {keep.daily} daily and {keep.weekly} weekly sets",
            where="backups.keep",
            why="a loss that is noticed after two weeks must still be repairable",
            fix="keep at least 7 daily and 4 weekly",
        )


def repository_suits_the_environment(tier: Tier) -> Iterator[Problem]:
    if tier.backups and tier.environment != "dev" and tier.backups.repository.kind == "volume":
        yield Problem(
            what=f"a volume of the same cluster is no repository for {tier.environment}",
            where="backups.repository.kind",
            why="what takes the cluster takes data and backups together",
            fix="use gcs or s3",
        )


def repository_is_not_only_beside_the_database(tier: Tier) -> Iterator[Problem]:
    if not tier.backups or tier.environment != "prod":
        return
    repository, gcp, aws = tier.backups.repository, tier.clouds.gcp, tier.clouds.aws
    beside = (repository.kind == "gcs" and gcp is not None and repository.location == gcp.region) or (
        repository.kind == "s3" and aws is not None and repository.region == aws.region and gcp is None
    )
    if beside and tier.backups.sealed_copy is None:
        yield Problem(
            what="the only repository stands in the database's own region",
            where="backups.repository",
            why="what takes the region takes data and backups together",
            fix="choose a multi-region (us, eu, asia) or another region, or add a sealedCopy elsewhere",
        )


def soft_delete_is_in_range(tier: Tier) -> Iterator[Problem]:
    if not tier.backups or tier.backups.repository.kind != "gcs":
        return
    soft = tier.backups.repository.soft_delete
    if not _whole_days(soft) or not 7 * DAY <= soft.seconds <= 90 * DAY:
        yield Problem(
            what=f"{soft} is no whole number of days from 7d to 90d",
            where="backups.repository.softDelete",
            why="the service takes 7 to 90 days; less than a week is over before a malicious deletion is noticed",
            fix="30d is usual",
        )


def prod_has_a_sealed_copy(tier: Tier) -> Iterator[Problem]:
    if tier.environment == "prod" and tier.backups and tier.backups.sealed_copy is None:
        yield Problem(
            what="prod has no sealed copy",
            where="backups.sealedCopy",
            why="whoever takes over the project can delete every other copy",
            fix="add a sealedCopy in a project or account that nobody of the first one administers",
        )


def sealed_copy_stands_apart(tier: Tier) -> Iterator[Problem]:
    if not tier.backups or not tier.backups.sealed_copy:
        return
    sealed, repository, gcp, aws = tier.backups.sealed_copy, tier.backups.repository, tier.clouds.gcp, tier.clouds.aws
    if sealed.kind == "gcs" and gcp and sealed.project == gcp.project:
        yield Problem(
            what="the sealed copy lies in the tier's own project",
            where="backups.sealedCopy.project",
            why="who administers the project could stop its writer or delete the project",
            fix="name a project with other administrators",
        )
    if sealed.kind == "s3" and aws and sealed.account == aws.account:
        yield Problem(
            what="the sealed copy lies in the tier's own account",
            where="backups.sealedCopy.account",
            why="who administers the account could stop its writer or close the account",
            fix="name an account with other administrators",
        )
    if sealed.kind == "gcs" and repository.kind == "gcs" and sealed.location == repository.location:
        yield Problem(
            what="the sealed copy lies where the repository lies",
            where="backups.sealedCopy.location",
            why="one disaster takes both",
            fix="name another place",
        )
    if sealed.kind == "s3" and repository.kind == "s3" and sealed.region == repository.region:
        yield Problem(
            what="the sealed copy lies where the repository lies",
            where="backups.sealedCopy.region",
            why="one disaster takes both",
            fix="name another region",
        )


def sealed_copy_is_locked_long_enough(tier: Tier) -> Iterator[Problem]:
    if not tier.backups or not tier.backups.sealed_copy:
        return
    sealed = tier.backups.sealed_copy
    if not _whole_days(sealed.every) or sealed.every.seconds > 31 * DAY:
        yield Problem(
            what=f"{sealed.every} is no whole number of days up to 31",
            where="backups.sealedCopy.every",
            why="a sealed copy older than a month is no way back",
            fix="7d is usual",
        )
    if not sealed.lock.irreversible:
        yield Problem(
            what="a lock is irreversible, and the configuration does not say so",
            where="backups.sealedCopy.lock.irreversible",
            why="once locked, nobody can shorten it, and the bucket is billed until everything in it has aged out",
            fix="set irreversible: true when that is what you want",
        )
    if sealed.lock.days * DAY < 2 * sealed.every.seconds:
        yield Problem(
            what=f"locked for {sealed.lock.days} days, written every {sealed.every}",
            where="backups.sealedCopy.lock.days",
            why="when one copy fails, the last good one would already be open to deletion",
            fix="lock for at least two intervals; 35 days for a weekly copy",
        )


def _against_weekly(tier: Tier, backups: Backups) -> Iterator[Problem]:
    """What a weekly set would break."""
    for name, store in tier.stores.items():
        covered = isinstance(store, CloudSql) and store.pitr
        goal = (store.goals or tier.goals).rpo
        if store.backup == "required" and not covered and goal.seconds < WEEKLY_RPO:
            yield Problem(
                what=f"{name} may lose {goal}, and has nothing but the sets",
                where="backups.weeklyAbove",
                why="a weekly set misses that goal every day but one: all stores of the tier come in one set",
                fix=f"remove it, give {name} pitr (Cloud SQL), or say that it may lose 8d",
            )
    if backups.sealed_copy and backups.sealed_copy.every.seconds < 7 * DAY:
        yield Problem(
            what=f"a copy is sealed every {backups.sealed_copy.every}",
            where="backups.weeklyAbove",
            why="there would be no new set to seal, and the copy would count as late",
            fix="seal every 7d",
        )


def weekly_sets_keep_the_goals(tier: Tier) -> Iterator[Problem]:
    if tier.backups and tier.backups.weekly_above:
        yield from _against_weekly(tier, tier.backups)


def weekly_above(tier: Tier) -> int | None:
    """Bytes of a store's databases above which sets are weekly; None where they never are."""
    if tier.backups is None:
        return None
    if tier.backups.weekly_above:
        return tier.backups.weekly_above.bytes
    return WEEKLY_ABOVE.bytes if next(_against_weekly(tier, tier.backups), None) is None else None


def drills_happen(tier: Tier) -> Iterator[Problem]:
    if not tier.backups:
        return
    drill = tier.backups.drill
    if not _whole_days(drill.every) or drill.every.seconds > 7 * DAY:
        yield Problem(
            what=f"{drill.every} is no whole number of days up to 7",
            where="backups.drill.every",
            why="a backup that was not restored for more than a week is not known to be one",
            fix="1d is usual",
        )
    if drill.pitr and (not _whole_days(drill.pitr) or drill.pitr.seconds > 92 * DAY):
        yield Problem(
            what=f"{drill.pitr} is no whole number of days up to 92",
            where="backups.drill.pitr",
            why="once in three months at least",
            fix="30d",
        )
    has_pitr = any(store.pitr for _, store in cloud_sql_stores(tier))
    if drill.pitr and not has_pitr:
        yield Problem(
            what="no store has point-in-time recovery",
            where="backups.drill.pitr",
            why="a drill that can never run is skipped for ever",
            fix="remove it, or give a Cloud SQL store pitr",
        )
    if tier.environment == "prod" and has_pitr and not drill.pitr:
        yield Problem(
            what="point-in-time recovery is never tried",
            where="backups.drill.pitr",
            why="what was never restored is unproven",
            fix="add pitr: 30d",
        )


def scratch_holds_the_largest_store_and_goes_with_its_pod(tier: Tier) -> Iterator[Problem]:
    scratch = tier.backups.drill.scratch if tier.backups else None
    if scratch is None:
        return
    largest = max((declared_size(store) for store in tier.stores.values()), default=0)
    if scratch.size.bytes < 2 * largest:
        yield Problem(
            what=f"{scratch.size} is less than twice the largest store ({largest / 1e9:.0f} GB)",
            where="backups.drill.scratch.size",
            why="what is fetched and what is restored lie side by side, and a drill that runs out of room proves nothing",
            fix=f"give it {2 * largest // 2**30 + 1}GiB or more",
        )
    if tier.guarded and scratch.storage_class == tier.cluster.storage_class:
        yield Problem(
            what=f"{scratch.storage_class} keeps its volumes",
            where="backups.drill.scratch.storageClass",
            why="each drill would leave a volume with a copy of the data behind",
            fix="name a class whose reclaim policy is Delete, like premium-rwo",
        )


def declared_size(store: Store) -> int:
    """Bytes that a store may take at the start: its volume's, or its instance's disk."""
    return store.disk.size.bytes if store.kind == "cloud-sql" else store.volume.size.bytes if store.volume else 0


RULES = (
    sets_keep_clear_of_automated_backups,
    something_is_kept,
    repository_suits_the_environment,
    repository_is_not_only_beside_the_database,
    soft_delete_is_in_range,
    prod_has_a_sealed_copy,
    sealed_copy_stands_apart,
    sealed_copy_is_locked_long_enough,
    weekly_sets_keep_the_goals,
    drills_happen,
    scratch_holds_the_largest_store_and_goes_with_its_pod,
)
