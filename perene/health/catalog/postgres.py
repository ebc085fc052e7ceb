"""Signals on the database and the brokers in the cluster, from their exporters beside them (Debian's prometheus-*-exporter)."""

from perene.health.catalog.types import Example, Proof, Signal


def _of(metric: str, more: str = "") -> str:
    return f'{metric}{{namespace="$namespace",pod="$workload-0"{more}}}'


DATABASES = (
    Signal(
        name="database-down",
        severity="critical",
        kinds=("postgres",),
        expression="max(pg_up{$pods}) < $threshold or max(absent(pg_up{$pods}))",
        threshold=1,
        hold=3,
        summary="the database $store in $stack does not answer",
        meaning="Clients fail. Committed rows are on the volume.",
        first=(
            "perene health $stack: reachable, volume mounted, space left",
            "kubectl logs of the pod: recovery in progress, no space, wrong permissions of the data directory?",
            "let crash recovery finish; never remove the data directory or reset the WAL",
        ),
        then="If the volume is gone: perene health $stack --lost, then perene restore into a new place.",
        proof=Proof(series=(_of("pg_up"),), over=("0.98",), below=("1",), missing=3),
    ),
    Signal(
        name="connections-high",
        severity="warning",
        kinds=("postgres",),
        setting="connections",
        expression="sum(pg_stat_activity_count{$pods}) / max(pg_settings_max_connections{$pods}) > $threshold",
        threshold=0.8,
        hold=5,
        summary="over $limit of the connections of $store in $stack are taken",
        meaning="Data is safe. At 100 % the application, and the backup with it, cannot connect.",
        first=(
            "who holds them: select usename, state, count(*) from pg_stat_activity group by 1, 2 order by 3 desc",
            "idle in transaction means an application that does not finish: restart that one, not the database",
            "lower a pool's maxOpen or replicas, or raise max_connections (restarts)",
        ),
        then="Pools and max_connections are checked against each other in the configuration; an undeclared pool is the usual cause.",
        proof=Proof(
            series=(_of("pg_stat_activity_count", ',state="idle"'), _of("pg_settings_max_connections")),
            over=("81", "100"),
            below=("79", "100"),
            silence_is="database-down",
            more=(
                Example(
                    title="states are added up",
                    series=(
                        (_of("pg_stat_activity_count", ',state="idle"'), "41"),
                        (_of("pg_stat_activity_count", ',state="active"'), "40"),
                        (_of("pg_settings_max_connections"), "100"),
                    ),
                    fires=5,
                ),
            ),
        ),
    ),
    Signal(
        name="slow-query",
        severity="warning",
        kinds=("postgres",),
        setting="slow-query",
        expression="max(perene_pg_slowest_query_seconds{$pods}) > $threshold",
        threshold=5,
        hold=0,
        summary="a query on $store in $stack has been running for over $limit",
        meaning="Data is safe. A query that holds locks holds up writers, and a long snapshot holds vacuum back.",
        first=(
            "what is it: select pid, now() - query_start, left(query, 80) from pg_stat_activity where state = 'active' order by 2 desc",
            "is it waiting for a lock: select * from pg_locks where not granted",
            "select pg_cancel_backend(PID): it rolls that statement back; nothing committed is lost",
        ),
        then="Backups are left out of this figure. A query that returns daily needs an index or a schedule.",
        proof=Proof(series=(_of("perene_pg_slowest_query_seconds"),), over=("5.1",), below=("4.9",), silence_is="database-down"),
    ),
    Signal(
        name="wal-archiving-failing",
        severity="critical",
        kinds=("postgres",),
        expression="max(increase(pg_stat_archiver_failed_count{$pods}[15m])) > $threshold",
        threshold=0,
        hold=5,
        summary="$store in $stack cannot archive its WAL",
        meaning="Point-in-time recovery ends at the last archived segment, and the volume fills with segments that wait.",
        first=(
            "select * from pg_stat_archiver: the failed segment and since when",
            "can it reach and write the archive: space, rights, password?",
            "perene backup: a set now, while it is mended",
        ),
        then="Never delete files in pg_wal to make room: the archive would have a hole. Grow the volume.",
        proof=Proof(
            series=(_of("pg_stat_archiver_failed_count"),),
            over=("1+1",),
            below=("7",),
            good=("40",),
            lag=1,
            clear=15,
            silence_is="database-down",
        ),
    ),
    Signal(
        name="xid-wraparound",
        severity="critical",
        kinds=("postgres",),
        expression="max(perene_pg_xid_used_ratio{$pods}) > $threshold",
        threshold=0.5,
        hold=15,
        summary="$store in $stack has used half of its transaction ids without vacuum",
        meaning="At the end the database refuses all writes to protect the data.",
        first=(
            "what holds it back: the oldest transaction, prepared transaction or replication slot",
            "vacuum (freeze, verbose) the table with the highest age(relfrozenxid)",
            "leave autovacuum on; raise its workers rather than switching it off",
        ),
        then="A forgotten prepared transaction (pg_prepared_xacts) or slot (pg_replication_slots) is the usual cause.",
        proof=Proof(series=(_of("perene_pg_xid_used_ratio"),), over=("0.51",), below=("0.49",), silence_is="database-down"),
    ),
    Signal(
        name="redis-not-durable",
        severity="critical",
        kinds=("redis",),
        expression="min(redis_rdb_last_bgsave_status{$pods}) < $threshold or min(redis_aof_last_write_status{$pods}) < $threshold",
        threshold=1,
        hold=2,
        summary="$store in $stack cannot write its snapshot or its log",
        meaning="What is written now is lost at the next restart.",
        first=(
            "redis-cli INFO persistence: which of the two, and the error in the log",
            "space on the volume, memory for the fork (twice the data)",
            "do not restart it: a restart loads the last good snapshot and forgets the rest",
        ),
        then="After mending, redis-cli BGSAVE and watch rdb_last_bgsave_status turn ok; the page clears by itself.",
        proof=Proof(
            series=(_of("redis_rdb_last_bgsave_status"), _of("redis_aof_last_write_status")),
            over=("0.98", "1"),
            below=("1", "1"),
            silence_is="store-down",
            more=(
                Example(
                    title="the append-only log alone",
                    series=((_of("redis_rdb_last_bgsave_status"), "1"), (_of("redis_aof_last_write_status"), "0.98")),
                    fires=2,
                ),
            ),
        ),
    ),
    Signal(
        name="rabbitmq-blocked",
        severity="critical",
        kinds=("rabbitmq",),
        expression="""max(rabbitmq_alarms_free_disk_space_watermark{$pods}) > $threshold
            or max(rabbitmq_alarms_memory_used_watermark{$pods}) > $threshold""",
        threshold=0,
        hold=2,
        summary="$store in $stack blocks its publishers",
        meaning="Messages that publishers cannot hand over wait or are lost in the application, depending on how it publishes.",
        first=(
            "rabbitmqctl list_queues name messages: which queue is not consumed?",
            "start or scale the consumer; do not purge a queue whose messages matter",
            "disk alarm: grow the volume; memory alarm: raise the limit",
        ),
        then="Confirmed persistent messages are on disk and survive a restart.",
        proof=Proof(
            series=(_of("rabbitmq_alarms_free_disk_space_watermark"), _of("rabbitmq_alarms_memory_used_watermark")),
            over=("1", "0"),
            below=("0", "0"),
            silence_is="store-down",
            more=(
                Example(
                    title="memory alone",
                    series=(
                        (_of("rabbitmq_alarms_free_disk_space_watermark"), "0"),
                        (_of("rabbitmq_alarms_memory_used_watermark"), "1"),
                    ),
                    fires=2,
                ),
            ),
        ),
    ),
)
