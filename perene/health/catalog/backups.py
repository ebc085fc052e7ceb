"""Signals on what `perene exporter` tells about sets, drills, repository, guards, certificates and the database's log."""

from perene.health.catalog.types import Example, Proof, Signal
from perene.health.catalog.volumes import IN_CLUSTER

STORES = (*IN_CLUSTER, "cloud-sql")
_SINCE = "perene_watched_since_timestamp_seconds"


# Beyond a day, until the next set is due: six days where sets are weekly.
_WEEKLY = "perene_newest_set_beyond_a_day_seconds{$own}"
_LATER = f" - (max({_WEEKLY}) or vector(0))"
# Beside the example's target, which is store main of direito-lux-prod.
_OTHERS = ('{stack="elsewhere",store="main"}', '{stack="direito-lux-prod",store="elsewhere"}')


def _older(metric: str, match: str, later: str = "") -> str:
    """Older than the threshold, or never seen although watched for that long; the moment of creation is no alarm.

    later: what is taken off the age, where the next one is due later than a day after.
    """
    return f"""time() - max({metric}{{{match}}}){later} > $threshold
        or (max(absent({metric}{{{match}}})) and (time() - min({_SINCE}{{{match}}}) > $threshold))"""


def _ages(metric: str, match: str, limit: int, *, hold: int, missing: int | None, later: str = "") -> Proof:
    """Series start ten minutes before the limit; two hours before it is just below for the case's two hours."""
    newest, since = f"{metric}{{{match}}}", f"{_SINCE}{{{match}}}"
    more, born = 6 * 86400, (since, "-9000000")
    others = tuple((_WEEKLY.replace("{$own}", labels), str(more)) for labels in _OTHERS)
    weekly = (
        Example(title="late, the sets of others are weekly", series=((newest, str(600 - limit)), *others, born), fires=11 + hold),
        Example(title="weekly, late", series=((newest, str(600 - limit - more)), (_WEEKLY, str(more)), born), fires=11 + hold),
        Example(title="weekly, just in time", series=((newest, str(7200 - limit - more)), (_WEEKLY, str(more)), born), fires=None),
    )
    return Proof(
        series=(newest, since),
        over=(str(600 - limit), "-9000000"),
        below=(str(7200 - limit), "-9000000"),
        good=("3000+60", "-9000000"),
        lag=11,
        horizon=120,
        missing=missing,
        silence_is="" if missing else "exporter-silent",
        more=(
            Example(title="never made, long after creation", series=((since, str(600 - limit)),), fires=11 + hold),
            Example(title="never made, just created", series=((since, str(7200 - limit)),), fires=None),
            Example(
                title="made once, then its figure vanished: judged by creation",
                series=((newest, f"{-limit + 6000}x30 _"), (since, "-9000000")),
                fires=30 + hold,
            ),
            *(weekly if later else ()),
        ),
    )


_RUN = "perene backup: make a set now"
_HEALTH = "perene health $stack: worst first, with the next command"
_AUDIT = "perene audit show REPOSITORY: who did it, when, and why"

BACKUPS = (
    Signal(
        name="backup-stale",
        severity="critical",
        kinds=STORES,
        setting="backup-age",
        expression=f"{_older('perene_newest_set_timestamp_seconds', '$own', _LATER)} or max(absent({_SINCE}{{$own}}))",
        threshold=104400,
        hold=15,
        summary="$store in $stack has had no recovery set for $limit (weekly sets: six days more)",
        meaning="Data written since the newest set has no second way back.",
        first=(_RUN, "kubectl get cronjob,job: did it run, is it suspended, did it fail?", _HEALTH),
        then="The page clears with the next complete set. Until then retention removes nothing.",
        proof=_ages("perene_newest_set_timestamp_seconds", "$own", 104400, hold=15, missing=15, later=_LATER),
    ),
    Signal(
        name="backup-unproven",
        severity="warning",
        kinds=STORES,
        setting="proof-age",
        expression=_older("perene_newest_proven_set_timestamp_seconds", "$own", _LATER),
        threshold=194400,
        hold=15,
        summary="no recent recovery set of $store in $stack has been restored and compared",
        meaning="There are sets, but nobody has shown that they come back.",
        first=(
            "perene drill: restore the newest set and compare it",
            "perene report $stack: what did the last drills say?",
            _HEALTH,
        ),
        then="A set that was never restored is unproven, not good.",
        proof=_ages("perene_newest_proven_set_timestamp_seconds", "$own", 194400, hold=15, missing=None, later=_LATER),
    ),
    Signal(
        name="automated-backup-stale",
        severity="critical",
        kinds=("cloud-sql",),
        expression=_older("perene_automated_backup_timestamp_seconds", "$own"),
        threshold=104400,
        hold=15,
        summary="Cloud SQL has made no successful automated backup of $store in $stack within its schedule",
        meaning="Older automated backups are kept by count; point-in-time recovery reaches back to the newest good one only.",
        first=(
            "gcloud sql backups list --instance=INSTANCE: SKIPPED (stopped), FAILED or nothing at all?",
            "gcloud sql backups create --instance=INSTANCE: one by hand, now",
            "an organisation policy on locations can fail every backup: look at the operation's error",
        ),
        then="Four-hour window plus a day plus an hour: a backup late within its window does not page.",
        proof=_ages("perene_automated_backup_timestamp_seconds", "$own", 104400, hold=15, missing=None),
    ),
    Signal(
        name="drill-failed",
        severity="critical",
        kinds=("tier",),
        expression="max(perene_drill_verdict{$tier}) < $threshold",
        threshold=1,
        hold=0,
        summary="the last restore drill of $stack failed",
        meaning="The newest set did not come back as written, or a planted fault was not found: newer data has one way back less.",
        first=(
            "perene report $stack: which set, which table, which difference?",
            "perene drill, on the older sets too: which is the newest that does come back?",
            _RUN + ", then drill it",
        ),
        then="Keep the failed set: it is the evidence. Retention never removes the newest proven one.",
        proof=Proof(series=("perene_drill_verdict{$tier}",), over=("0.98",), below=("1",), silence_is="drill-overdue"),
    ),
    Signal(
        name="drill-overdue",
        severity="warning",
        kinds=("tier",),
        setting="drill-age",
        expression=_older("perene_drill_timestamp_seconds", "$tier"),
        threshold=108000,
        hold=15,
        summary="no restore drill of $stack for $limit",
        meaning="Backups go on, but nobody has tried them lately.",
        first=("perene drill", "kubectl get cronjob,job: did the drill run, is it suspended?", _HEALTH),
        then="A skipped drill is an alarm: the first sign of a broken backup is often a drill that could not start.",
        proof=_ages("perene_drill_timestamp_seconds", "$tier", 108000, hold=15, missing=None),
    ),
    Signal(
        name="sealed-copy-overdue",
        severity="warning",
        kinds=("sealed",),
        setting="seal-age",
        expression=_older("perene_sealed_copy_timestamp_seconds", "$tier"),
        threshold=691200,
        hold=60,
        summary="the sealed copy of $stack is overdue",
        meaning="The copy that nobody can delete grows old. After a malicious deletion this is what is left.",
        first=(
            "kubectl logs of the sealing job: rights, network, or no proven set to seal?",
            "perene drill: only a proven set is sealed",
            "kubectl create job --from=cronjob/NAME: seal now",
        ),
        then="The sealing identity creates and cannot delete or overwrite: a name that exists is an error worth reading.",
        proof=_ages("perene_sealed_copy_timestamp_seconds", "$tier", 691200, hold=60, missing=None),
    ),
    Signal(
        name="repository-unreadable",
        severity="critical",
        kinds=("tier",),
        expression="min(perene_repository_readable{$tier}) < $threshold",
        threshold=1,
        hold=10,
        summary="the backup repository of $stack cannot be read",
        meaning="No set can be restored or made until it is readable. Unreadable is not empty.",
        first=(
            "perene repo check: network, rights, password, or damage?",
            "never initialise a repository over an unreadable one",
            "was something deleted? perene repo rewind --to TIME brings it back from versions or soft delete",
        ),
        then="If it cannot be mended, the sealed copy is the way back: perene drill --from sealed proves it.",
        proof=Proof(series=("perene_repository_readable{$tier}",), over=("0.98",), below=("1",), silence_is="exporter-silent"),
    ),
    Signal(
        name="repository-locked",
        severity="warning",
        kinds=("tier",),
        expression="max(perene_repository_lock_age_seconds{$tier}) > $threshold",
        threshold=21600,
        hold=5,
        summary="the backup repository of $stack has been locked for over six hours",
        meaning="A stale lock stops retention and pruning, and in time the backups.",
        first=(
            "is a backup, prune or check still running? kubectl get jobs",
            "a dead run's lock is taken over by the next run: perene backup, and read what it says",
            "perene repo check",
        ),
        then="One wrapper's stale lock stopped retention for 52 days with exit 0: that is why this pages.",
        proof=Proof(series=("perene_repository_lock_age_seconds{$tier}",), over=("21700",), below=("21500",), silence_is="exporter-silent"),
    ),
    Signal(
        name="exporter-silent",
        severity="critical",
        kinds=("tier",),
        expression="""time() - max(perene_exporter_last_success_timestamp_seconds{$tier}) > $threshold
            or max(absent(perene_exporter_last_success_timestamp_seconds{$tier}))""",
        threshold=900,
        hold=10,
        summary="nobody tells how the backups of $stack are",
        meaning="All figures on sets, drills, guards and certificates are missing or old. Silence is an alarm.",
        first=(
            "kubectl get pods -l app.kubernetes.io/name=perene-exporter, and its log",
            "is it scraped: perene alerts check $stack",
            _HEALTH + " (needs no exporter)",
        ),
        then="While this page is up the pages that it feeds are silent or stale.",
        proof=Proof(
            series=("perene_exporter_last_success_timestamp_seconds{$tier}",),
            over=("-300",),
            below=("2690",),
            good=("3000+60",),
            lag=11,
            missing=10,
            more=(
                Example(
                    title="to the minute",
                    series=(("perene_exporter_last_success_timestamp_seconds{$tier}", "-245"),),
                    fires=21,
                ),
            ),
        ),
    ),
    Signal(
        name="guard-opened",
        severity="warning",
        kinds=("tier",),
        expression="max(perene_guard_open{$tier}) > $threshold",
        threshold=0,
        hold=1,
        summary="a guard of $stack is open",
        meaning="Something that protects data is switched off, by declaration or behind the program's back. Nothing is lost yet.",
        first=(
            _AUDIT,
            "perene health $stack: which guard of which resource, declared until when?",
            "close it: remove it from guards.opened, pulumi up",
        ),
        then="A guard that is open but not declared is a matter for whoever has rights on the project: close it first, ask then.",
        proof=Proof(series=('perene_guard_open{$tier,resource="main"}',), over=("1",), below=("0",), silence_is="exporter-silent"),
    ),
    Signal(
        name="retention-lock-changed",
        severity="critical",
        kinds=("tier",),
        expression="min(perene_retention_lock_as_declared{$tier}) < $threshold",
        threshold=1,
        hold=0,
        summary="a backup bucket of $stack keeps less than is declared",
        meaning="The sealed copy that nobody should be able to delete may be deletable, or what is deleted stays deleted.",
        first=(
            "which (the figure's label): gcloud storage buckets describe; aws s3api get-object-lock-configuration, get-bucket-versioning",
            "set it again: a lock can always be lengthened, soft delete and versions switched on",
            _AUDIT,
        ),
        then="Whoever changed it had rights in the vault's project or account: treat it as an incident until explained.",
        proof=Proof(series=("perene_retention_lock_as_declared{$tier}",), over=("0.98",), below=("1",), silence_is="exporter-silent"),
    ),
    Signal(
        name="certificate-near-its-end",
        severity="warning",
        kinds=("postgres", "redis", "qdrant", "rabbitmq"),
        expression="min(perene_certificate_not_after_timestamp_seconds{$own}) - time() < $threshold",
        threshold=1814400,
        hold=15,
        summary="the TLS certificate of $store in $stack ends within three weeks",
        meaning="When it ends, clients that verify it cannot connect, and the backup cannot either. Data is safe.",
        first=(
            "perene health $stack: the day it ends",
            "delete the certificate's Secret and run perene secrets init $stack: the same authority signs a new one",
            "restart the store's pod so that it loads the new one",
        ),
        then="Clients verify the CA, not the certificate: renewing the certificate under the same CA needs no change at the clients.",
        proof=Proof(
            series=("perene_certificate_not_after_timestamp_seconds{$own}",),
            over=("1815000",),
            below=("1818060",),
            good=("5000000",),
            lag=11,
            silence_is="exporter-silent",
        ),
    ),
    Signal(
        name="database-damaged",
        severity="critical",
        kinds=("postgres",),
        expression='sum(increase(perene_database_log_lines_total{$own,kind=~"panic|damage"}[15m])) > $threshold',
        threshold=0,
        hold=0,
        summary="the log of $store in $stack speaks of damage",
        meaning="A checksum failed, a file is missing or the server panicked: data here may be damaged, sets from before are not.",
        first=(
            "kubectl logs of the pod: invalid page, could not read block, PANIC: which relation?",
            "perene drill: is the newest set good, and from when is it?",
            "stop writers; then perene restore newest into a new place and compare",
        ),
        then="Keep the damaged volume until the restored copy is compared. zero_damaged_pages destroys evidence and data.",
        proof=Proof(
            series=('perene_database_log_lines_total{$own,kind="damage"}',),
            over=("0+1",),
            below=("3",),
            good=("40",),
            lag=1,
            clear=15,
            silence_is="exporter-silent",
            more=(
                Example(
                    title="a panic counts too",
                    series=(('perene_database_log_lines_total{$own,kind="panic"}', "0x5 1"),),
                    fires=5,
                ),
                Example(
                    title="ordinary errors are another signal's matter",
                    series=(('perene_database_log_lines_total{$own,kind="error"}', "0+5"),),
                    fires=None,
                ),
            ),
        ),
    ),
    Signal(
        name="database-log-errors",
        severity="warning",
        kinds=("postgres",),
        expression='sum(increase(perene_database_log_lines_total{$own,kind=~"error|fatal"}[15m])) > $threshold',
        threshold=15,
        hold=5,
        summary="the log of $store in $stack holds unusually many errors",
        meaning="Data is safe. Statements or logins fail: a deploy that does not fit the schema, a wrong password, a missing right.",
        first=(
            "kubectl logs of the pod, ERROR and FATAL lines: one message or many?",
            "what was deployed or migrated just before?",
            "perene migrate status $stack",
        ),
        then="Raise the threshold only for an error that is known and harmless.",
        proof=Proof(
            series=('perene_database_log_lines_total{$own,kind="error"}',),
            over=("0+1.02",),
            below=("0+0.98",),
            good=("100",),
            lag=15,
            clear=15,
            silence_is="exporter-silent",
            more=(
                Example(
                    title="refused logins count too",
                    series=(('perene_database_log_lines_total{$own,kind="fatal"}', "0+1.02"),),
                    fires=20,
                ),
            ),
        ),
    ),
)
