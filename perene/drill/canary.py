"""The canary: a small database that every set carries, so that each drill can show that damage to it would be noticed."""

from perene.backup.postgres.server import Server

DATABASE = "perene_canary"
ROLE = "perene_canary_reader"

# Its rows name the set, so that another set's canary is a difference. About 3 MB.
SQL = """
SET search_path = public;
CREATE TYPE state AS ENUM ('new', 'paid', 'closed');
CREATE SEQUENCE ticket START 1000;
CREATE TABLE customer (id int PRIMARY KEY, email text NOT NULL UNIQUE, state state NOT NULL, born date, score float8, raw bytea);
CREATE TABLE invoice (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customer,
    cents bigint CHECK (cents >= 0), at timestamptz NOT NULL, note text, doc jsonb);
CREATE TABLE audit (at timestamptz NOT NULL, line text) PARTITION BY RANGE (at);
CREATE TABLE audit_2026 PARTITION OF audit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE private (who text, v int); ALTER TABLE private ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON private USING (who = current_user);
CREATE TABLE set_name (id text);
INSERT INTO customer SELECT i, 'c' || i || '@canary.example', (ARRAY['new', 'paid', 'closed']::state[])[i % 3 + 1], date '1980-01-01' + i,
    i / 7.0, sha256(i::text::bytea) FROM generate_series(1, 5000) i;
INSERT INTO invoice (customer, cents, at, note, doc) SELECT i % 5000 + 1, i * 13, timestamptz '2026-01-01 00:00Z' + i * interval '1 minute',
    md5(i::text), jsonb_build_object('n', i) FROM generate_series(1, 20000) i;
INSERT INTO audit SELECT timestamptz '2026-02-01 00:00Z' + i * interval '1 hour', 'line ' || i FROM generate_series(1, 2000) i;
INSERT INTO private VALUES ('a', 1), ('b', 2);
SELECT setval('ticket', 5000);
SELECT lo_from_bytea(7001, sha256('canary'));
CREATE INDEX invoice_at ON invoice (at);
CREATE VIEW open_invoice AS SELECT * FROM invoice WHERE cents > 100;
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := coalesce(NEW.note, ''); RETURN NEW; END $$;
CREATE TRIGGER bumping BEFORE UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION bump();
GRANT SELECT ON customer TO perene_canary_reader;
"""


def make(server: Server, set_id: str) -> None:
    """Create the canary on a scratch server."""
    with server.connect("postgres", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {ROLE} NOLOGIN")
        admin.execute(f"CREATE DATABASE {DATABASE}")
        admin.execute(f"ALTER DATABASE {DATABASE} SET timezone = 'UTC'")
    with server.connect(DATABASE, autocommit=True) as connection:
        connection.execute(SQL)
        connection.execute("INSERT INTO public.set_name VALUES (%s)", [set_id])
