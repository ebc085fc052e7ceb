"""Signals on Cloud SQL, under the names its metrics have in Cloud Monitoring's PromQL (domain-facts section 7.1)."""

from perene.health.catalog.types import Example, Proof, Signal

_CLOUD = "cloudsql_googleapis_com:database_"


def _m(metric: str, more: str = "", match: str = "$instance") -> str:
    return f"{_CLOUD}{metric}{{{match}{more}}}"


def _level(metric: str, more: str = "") -> str:
    return f"max({_m(metric, more)}) > $threshold"


_STANDBY = 'monitored_resource="cloudsql_database",database_id="$standby_of"'
_REPLICA = 'monitored_resource="cloudsql_database",database_id="$replica_id"'
_LAG = _m("replication_replica_lag", match=_REPLICA)
_DOWN = "cloud-database-down"
_GROWS = "it grows by itself up to disk.limit: raise the limit in the configuration, pulumi up --refresh"
_ACTIVITY = "Query Insights, or pg_stat_activity through the proxy: what runs, what waits?"

CLOUD_SQL = (
    Signal(
        name="cloud-disk-nearly-full",
        severity="warning",
        kinds=("cloud-sql",),
        expression=_level("disk_utilization"),
        threshold=0.8,
        hold=10,
        summary="the disk of $store in $stack is over 80 % full",
        meaning="Nothing is lost yet. At the limit Cloud SQL shuts the instance down softly to protect the data.",
        first=(
            "is it below its limit? " + _GROWS,
            "what grew: tables, temporary files, WAL held by a slot?",
            "perene health $stack: days until full",
        ),
        then="A disk never shrinks: what an import needed stays paid for.",
        proof=Proof(series=(_m("disk_utilization"),), over=("0.81",), below=("0.79",), silence_is=_DOWN),
    ),
    Signal(
        name="cloud-disk-full",
        severity="critical",
        kinds=("cloud-sql",),
        setting="disk",
        expression=_level("disk_utilization"),
        threshold=0.95,
        hold=5,
        summary="the disk of $store in $stack is over $limit full",
        meaning="Writes are about to stop: at the limit the instance is shut down softly. Committed data is safe.",
        first=(_GROWS, "stop what writes most", "gcloud sql operations list: did the automatic growth fail?"),
        then="The first change of an unrefreshed stack after a growth is refused: always refresh.",
        proof=Proof(series=(_m("disk_utilization"),), over=("0.951",), below=("0.949",), silence_is=_DOWN),
    ),
    Signal(
        name="cloud-disk-full-soon",
        severity="warning",
        kinds=("cloud-sql",),
        expression=f"max(predict_linear({_m('disk_bytes_used')}[6h], $threshold)) > $limit_bytes",
        threshold=86400,
        hold=30,
        summary="the disk of $store in $stack will reach its limit within 24 hours if it goes on like this",
        meaning="Automatic growth ends at the limit. A day is left at the pace of the last six hours.",
        first=("what writes: an import, a runaway job, WAL held by a slot?", _GROWS, "perene health $stack: days until full"),
        then="The limit is the configuration's disk.limit, not the present size: growth below it is no alarm.",
        proof=Proof(
            series=(_m("disk_bytes_used"),),
            over=("8560000000000+1000000000",),
            below=("8429000000000+1000000000",),
            good=("1",),
            lag=1,
            horizon=130,
            silence_is=_DOWN,
            more=(
                Example(
                    title="growth that ended is forgotten after six hours",
                    series=((_m("disk_bytes_used"), "9000000000000+15000000000x60 9900000000000"),),
                    fires=31,
                    clears=407,
                ),
            ),
        ),
    ),
    Signal(
        name="cloud-connections-high",
        severity="warning",
        kinds=("cloud-sql",),
        setting="connections",
        expression=f"sum({_m('postgresql_num_backends')}) / $max_connections > $threshold",
        threshold=0.8,
        hold=5,
        summary="over $limit of the connections of $store in $stack are taken",
        meaning="Data is safe. At 100 % the application, and the export with it, cannot connect.",
        first=(
            _ACTIVITY,
            "lower a pool's maxOpen or replicas",
            "a larger machine has more connections (restarts): change it in the configuration",
        ),
        then="A pool that is not declared in the configuration is the usual cause.",
        proof=Proof(
            series=(_m("postgresql_num_backends", ',database="a"'),),
            over=("324",),
            below=("316",),
            silence_is=_DOWN,
            more=(
                Example(
                    title="databases are added up",
                    series=(
                        (_m("postgresql_num_backends", ',database="a"'), "162"),
                        (_m("postgresql_num_backends", ',database="b"'), "162"),
                    ),
                    fires=5,
                ),
            ),
        ),
    ),
    Signal(
        name="cloud-cpu-high",
        severity="warning",
        kinds=("cloud-sql",),
        expression=_level("cpu_utilization"),
        threshold=0.9,
        hold=15,
        summary="$store in $stack has used over 90 % of its CPU for 15 minutes",
        meaning="Data is safe; it answers late, and exports take longer than their window.",
        first=(_ACTIVITY, "is a backup, export or migration running beside the load?", "a larger machine: in the configuration (restarts)"),
        then="A missing index shows as one query in many sessions.",
        proof=Proof(series=(_m("cpu_utilization"),), over=("0.91",), below=("0.89",), silence_is=_DOWN),
    ),
    Signal(
        name="cloud-memory-high",
        severity="warning",
        kinds=("cloud-sql",),
        expression=_level("memory_components", ',component="Usage"'),
        threshold=90,
        hold=15,
        summary="$store in $stack uses over 90 % of its memory, page cache not counted",
        meaning="An instance without memory is restarted: an outage and a crash recovery, no loss of committed data.",
        first=(_ACTIVITY, "work_mem times connections: lower one of them", "a larger machine: in the configuration (restarts)"),
        then="This metric is a percentage (0 to 100), the others are fractions.",
        proof=Proof(series=(_m("memory_components", ',component="Usage"'),), over=("91",), below=("89",), silence_is=_DOWN),
    ),
    Signal(
        name=_DOWN,
        severity="critical",
        kinds=("cloud-sql",),
        expression=f"max({_m('up')}) < $threshold or max(absent({_m('up')}))",
        threshold=1,
        hold=5,
        summary="the Cloud SQL instance $store in $stack is down or not measured",
        meaning="Clients fail, or the metrics stopped. Committed data is safe; a regional instance fails over by itself.",
        first=(
            "gcloud sql instances describe: state, maintenance, SOFT_SHUTDOWN for a full disk?",
            "gcloud sql operations list --limit 5",
            "zone outage and zonal instance: perene restore (clone or backup) into another zone",
        ),
        then="database/state stays RUNNING in an unplanned outage: trust database/up.",
        proof=Proof(series=(_m("up"),), over=("0.98",), below=("1",), missing=5),
    ),
    Signal(
        name="cloud-standby-not-ready",
        severity="critical",
        kinds=("cloud-sql",),
        expression=f"max({_m('available_for_failover', match=_STANDBY)}) < $threshold",
        threshold=1,
        hold=15,
        summary="the standby of $store in $stack is not ready for a failover",
        meaning="If the zone fails now, the database stays down until it is back or restored. Nothing is lost.",
        first=(
            "gcloud sql instances describe: availabilityType and the zones",
            "gcloud sql operations list: maintenance or a failover that is under way clears by itself",
            "perene backup: a fresh set while there is no standby",
        ),
        then="Open a support case when it lasts over an hour.",
        proof=Proof(series=(_m("available_for_failover", match=_STANDBY),), over=("0.98",), below=("1",), silence_is=_DOWN),
    ),
    Signal(
        name="cloud-replication-lag",
        severity="warning",
        kinds=("cloud-sql",),
        expression=f"max({_LAG}) > $threshold or min({_LAG}) < 0",
        threshold=300,
        hold=5,
        summary="the replica of $store in $stack lags or has stopped replicating",
        meaning="The replica's data is old; a negative lag means that replication is broken. The primary is not touched.",
        first=(
            "negative: replication is broken; look at the replica's log",
            "positive: a long query on the replica, or more writes than it can apply",
            "do not promote it: what the primary has and it has not would be lost",
        ),
        then="A replica that cannot catch up is made anew from the primary.",
        proof=Proof(
            series=(_LAG,),
            over=("303",),
            below=("297",),
            silence_is=_DOWN,
            more=(
                Example(title="the negative value of a broken replication", series=((_LAG, "-1"),), fires=5),
                Example(title="no lag at all", series=((_LAG, "0"),), fires=None),
            ),
        ),
    ),
    Signal(
        name="cloud-wal-archiving-failing",
        severity="critical",
        kinds=("cloud-sql",),
        expression=f"max(increase({_m('replication_log_archive_failure_count')}[30m])) > $threshold",
        threshold=0,
        hold=5,
        summary="$store in $stack cannot archive its transaction log",
        meaning="Point-in-time recovery is silently broken from here on.",
        first=(
            "gcloud sql operations list and the instance's log",
            "gcloud sql backups create: a restore point now",
            "perene backup: a logical set that does not depend on the log",
        ),
        then="After it is mended, take an automated backup: recovery starts from a backup and needs an unbroken log after it.",
        proof=Proof(
            series=(_m("replication_log_archive_failure_count"),),
            over=("1+1",),
            below=("7",),
            good=("50",),
            lag=1,
            clear=30,
            silence_is=_DOWN,
        ),
    ),
    Signal(
        name="cloud-xid-wraparound",
        severity="critical",
        kinds=("cloud-sql",),
        expression=_level("postgresql_transaction_id_utilization"),
        threshold=0.5,
        hold=15,
        summary="$store in $stack has used half of its transaction ids without vacuum",
        meaning="At the end the database refuses all writes to protect the data.",
        first=(
            "what holds it back: the oldest transaction, prepared transaction or replication slot",
            "vacuum (freeze, verbose) the table with the highest age(relfrozenxid)",
            "leave autovacuum on",
        ),
        then="A forgotten prepared transaction or slot is the usual cause.",
        proof=Proof(series=(_m("postgresql_transaction_id_utilization"),), over=("0.51",), below=("0.49",), silence_is=_DOWN),
    ),
)
