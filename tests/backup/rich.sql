-- Everything that has ever come back wrong from a dump, small.
CREATE SCHEMA "Odd Näme";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE users (id bigserial PRIMARY KEY, email text COLLATE nocase UNIQUE NOT NULL, name text COLLATE german, feeling mood DEFAULT 'ok',
    born timestamptz DEFAULT now(), ratio float8 DEFAULT 0.1, raw bytea, tags text[], doc jsonb, span interval,
    twice int GENERATED ALWAYS AS (length(name) * 2) STORED, gone int, age positive);
ALTER TABLE users DROP COLUMN gone;
INSERT INTO users (email, name, raw, tags, doc, span, age) SELECT 'u' || i || '@x.example', 'name ' || i, decode(md5(i::text), 'hex'),
    ARRAY['a', i::text, NULL], jsonb_build_object('i', i, 'ü', 'é'), make_interval(hours => i), i FROM generate_series(1, 1000) i;
CREATE TABLE events (at date NOT NULL, r int, payload text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT date '2025-06-01' + i, i, md5(i::text) FROM generate_series(1, 500) i;
CREATE TABLE parent (id int, r text); CREATE TABLE child (extra int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 3);
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v text); INSERT INTO cache VALUES ('k', 'v');
CREATE TABLE "Odd Näme"."tab.le ""q""" ("r" int, "perene row" text, "ünï" text); INSERT INTO "Odd Näme"."tab.le ""q""" VALUES (1, E'a\tb\n\\', 'ß');
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE secret_rows (owner_name text, v int); INSERT INTO secret_rows VALUES ('a', 1), ('b', 2);
ALTER TABLE secret_rows ENABLE ROW LEVEL SECURITY; ALTER TABLE secret_rows FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secret_rows USING (owner_name = current_user);
CREATE VIEW active AS SELECT id, email FROM users WHERE feeling <> 'sad';
CREATE MATERIALIZED VIEW per_mood AS SELECT feeling, count(*) FROM users GROUP BY 1;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.born := now(); RETURN NEW; END $$;
CREATE TRIGGER touching BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE INDEX users_doc ON users USING gin (doc); CREATE INDEX users_lower ON users (lower(name));
CREATE TABLE big_identity (id int GENERATED ALWAYS AS IDENTITY, v text); INSERT INTO big_identity (v) VALUES ('x'), ('y');
CREATE SEQUENCE counter START 100 INCREMENT 5; SELECT nextval('counter');
CREATE SEQUENCE untouched;
SELECT lo_from_bytea(4242, decode(repeat('ab', 3000), 'hex'));
CREATE PUBLICATION changes FOR TABLE users;
