"""How a PostgreSQL stands, asked over verified TLS."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from perene.contract.tier import PostgresEndpoint, Store
from perene.health.subject import Resolve
from perene.health.verdict import Finding, State

# One round trip: everything that the verdict needs.
_ASK = """
select current_setting('server_version'), pg_is_in_recovery(), current_setting('max_connections')::int,
  (select count(*) from pg_stat_activity where backend_type = 'client backend'),
  (select coalesce(extract(epoch from max(now() - query_start)), 0) from pg_stat_activity
    where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()),
  (select count(*) from pg_stat_replication), (select count(*) from pg_replication_slots where not active),
  (select failed_count > 0 and (last_archived_time is null or last_failed_time > last_archived_time) from pg_stat_archiver),
  (select max(age(datfrozenxid)) / 2147483648.0 from pg_database), current_setting('transaction_read_only') = 'on'
"""
_ADMIN = "admin"


def probe(
    name: str,
    store: Store,
    resolve: Resolve,
    stack: str,
    *,
    address: str = "",
    connections: float = 0.8,
    slow: float = 5,
) -> Iterator[Finding]:
    """Reachable, verified, writable, version, connections, slow queries, replication, archiving, transaction ids.

    address: where the endpoint's host is found from here, when its name is known inside the cluster only; the name is still verified.
    """
    endpoint = store.endpoint
    if not isinstance(endpoint, PostgresEndpoint) or not endpoint.ca or _ADMIN not in store.logins:
        yield Finding(state=State.UNKNOWN, store=name, check="reachable", what="there is no login to ask with", next="pulumi up")
        return
    password = store.logins[_ADMIN].password
    with tempfile.TemporaryDirectory() as directory:
        ca = Path(directory, "ca.crt")
        ca.write_bytes(resolve(endpoint.ca))
        secret = resolve(password).decode() if password else ""
        try:
            connection = psycopg.connect(
                host=endpoint.host,
                hostaddr=address or None,
                port=endpoint.port,
                dbname="postgres",
                user=store.logins[_ADMIN].user,
                password=secret,
                sslmode="verify-full",
                sslrootcert=str(ca),
                connect_timeout=3,
                application_name="perene health",
                autocommit=True,
            )
        except psycopg.OperationalError as failed:
            said = str(failed).strip().splitlines()[-1].replace(secret or "\0", "[secret]")
            untrusted = "certificate" in said
            yield Finding(
                state=State.BAD,
                store=name,
                check="TLS verified" if untrusted else "reachable",
                what=said,
                next=f"perene secrets check {stack}" if untrusted else f"perene health {stack} --lost",
            )
            return
        with connection:
            yield from _judge(name, connection, stack, connections, slow)


def _judge(name: str, connection: "psycopg.Connection[tuple[object, ...]]", stack: str, share: float, slow: float) -> Iterator[Finding]:
    connection.execute("set statement_timeout = '3s'")
    row = connection.execute(_ASK).fetchone()
    assert row, "a query without FROM has one row"  # noqa: S101
    version, recovering, limit, taken, slowest, standbys, idle_slots, unarchived, spent, read_only = row

    def told(good: bool, check: str, what: str, next_: str, bad: State = State.WARNING) -> Finding:
        return Finding(state=State.FINE if good else bad, store=name, check=check, what=what, next="" if good else next_)

    yield Finding(state=State.FINE, store=name, check="reachable", what=f"PostgreSQL {version} over TLS that was verified")
    if recovering:
        yield told(good=False, check="writable", what="it is still recovering", next_="wait: recovery must not be cut off")
    elif read_only:
        reset = "alter role ... reset default_transaction_read_only, or the same of the system"
        yield told(good=False, check="writable", what="it takes no writes: transactions are read-only", next_=reset, bad=State.BAD)
    else:
        try:
            connection.execute("create temporary table perene_health (written int)")
            connection.execute("insert into perene_health values (1)")
            connection.execute("drop table perene_health")
            yield told(good=True, check="writable", what="a row was written", next_="")
        except psycopg.Error as failed:
            what = f"it takes no writes: {str(failed).splitlines()[0]}"
            yield told(good=False, check="writable", what=what, next_=f"perene health {stack} --lost", bad=State.BAD)
    many = float(str(taken)) / float(str(limit))
    yield told(
        good=many <= share,
        check="connections",
        what=f"{taken} of {limit} connections are taken",
        next_="see docs/runbooks/connections-high.md",
    )
    if float(str(slowest)) > slow:
        what = f"a query has been running for {float(str(slowest)):.0f} s"
        yield told(good=False, check="queries", what=what, next_="see docs/runbooks/slow-query.md")
    what = f"{standbys} standbys" + (f", {idle_slots} slots that nobody reads hold WAL back" if idle_slots else "")
    yield told(good=not idle_slots, check="replication", what=what, next_="select * from pg_replication_slots")
    if unarchived:
        yield told(
            good=False, check="WAL archive", what="archiving fails", next_="see docs/runbooks/wal-archiving-failing.md", bad=State.BAD
        )
    if float(str(spent)) > 0.5:
        what = f"{float(str(spent)):.0%} of the transaction ids are used"
        yield told(good=False, check="transaction ids", what=what, next_="see docs/runbooks/xid-wraparound.md", bad=State.BAD)
