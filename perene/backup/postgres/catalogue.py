"""What a database holds besides rows, read from the catalogue: each query gives `kind name`, and a text that a restore must reproduce.

Rights are compared in their effective form, sorted: a restore may write them in another order, or leave out what is the default.
"""

# Schemas that the server or an extension fills by itself.
OWN = r"n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '^_?timescaledb_'"
_MEMBER = "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{table}'::regclass AND d.objid = {oid} AND d.deptype = 'e')"
_RIGHTS = (
    "(SELECT coalesce(string_agg(CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END || '=' || x.privilege_type"
    " || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',' ORDER BY x.grantee::regrole::text, x.privilege_type), '')"
    " FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) x)"
)


def _own(table: str, oid: str) -> str:
    return f"{OWN} AND {_MEMBER.format(table=table, oid=oid)}"


def _rights(acl: str, kind: str, owner: str) -> str:
    return _RIGHTS.format(acl=acl, kind=kind, owner=owner)


TABLES = f"""
SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated) AND c.relpersistence <> 't' AND {_own("pg_class", "c.oid")} ORDER BY 1, 2"""

# Rows that belong to the user in tables that belong to an extension: what pg_dump dumps of them, by the extension's own condition.
CONFIGURATION = """
SELECT n.nspname, c.relname, e.condition FROM pg_extension x, unnest(x.extconfig, x.extcondition) e (oid, condition)
JOIN pg_class c ON c.oid = e.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT (x.extname = 'timescaledb' AND c.relname = 'metadata') ORDER BY 1, 2"""

# A hypertable's content is in its children, compressed ones among them: it is read as a whole. Views of aggregates have one beneath them.
HYPERTABLES = "SELECT schema_name, table_name FROM _timescaledb_catalog.hypertable WHERE compression_state <> 2 ORDER BY 1, 2"

# TimescaleDB's table of jobs changed its schema between 2.19 and 2.29. A restore puts jobs to sleep, and a setting of the database says
# which ones: in a comparison they are awake.
JOB_TABLES = {("_timescaledb_config", "bgw_job"), ("_timescaledb_catalog", "bgw_job")}
ASLEEP = "perene.asleep"
JOBS = f"""
(SELECT to_jsonb(j) || jsonb_build_object('scheduled', scheduled OR
   id::text = ANY (string_to_array(coalesce(current_setting('{ASLEEP}', true), ''), ','))) FROM {{table}} j {{condition}})"""

SEQUENCES = f"""
SELECT n.nspname || '.' || c.relname,
       coalesce((SELECT s.last_value FROM pg_sequences s WHERE s.schemaname = n.nspname AND s.sequencename = c.relname), -1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {_own("pg_class", "c.oid")}"""

EXTENSIONS = "SELECT extname, extversion FROM pg_extension"

LARGE_OBJECTS = """
SELECT count(*), coalesce(sum(hashtextextended(m.oid || '/' || start || '/' ||
           encode(sha256(lo_get(m.oid, start, 1048576)), 'hex'), 0)::numeric), 0)::text
FROM (SELECT oid, lo_lseek64(lo_open(oid, 262144), 0, 2) AS size FROM pg_largeobject_metadata) m,
     generate_series(0, greatest(m.size - 1, 0), 1048576) AS start"""

OBJECTS: dict[str, str] = {
    "schema": f"""
SELECT n.nspname, concat_ws('|', pg_get_userbyid(n.nspowner), {_rights("n.nspacl", "n", "n.nspowner")})
FROM pg_namespace n WHERE {_own("pg_namespace", "n.oid")}""",
    "table": f"""
SELECT n.nspname || '.' || c.relname, concat_ws('|', c.relkind, c.relpersistence, pg_get_userbyid(c.relowner),
  {_rights("c.relacl", "r", "c.relowner")}, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.reloptions::text,
  pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
  (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid),
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
  (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
     a.attcollation::regcollation, a.attacl::text, pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY a.attnum)
   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), obj_description(c.oid, 'pg_class'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND {_own("pg_class", "c.oid")}""",
    "sequence": f"""
SELECT n.nspname || '.' || c.relname, concat_ws('|', pg_get_userbyid(c.relowner), {_rights("c.relacl", "s", "c.relowner")},
  format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
WHERE c.relpersistence <> 't' AND {_own("pg_class", "c.oid")}""",
    "constraint": f"""
SELECT n.nspname || '.' || c.relname || ' ' || k.conname, concat_ws('|', pg_get_constraintdef(k.oid), k.convalidated)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_own("pg_class", "c.oid")}""",
    "index": f"""
SELECT n.nspname || '.' || c.relname, concat_ws('|', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.relkind <> 't' AND {_own("pg_class", "t.oid")}""",
    "trigger": f"""
SELECT n.nspname || '.' || c.relname || ' ' || t.tgname, pg_get_triggerdef(t.oid) || t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND {_own("pg_class", "c.oid")}""",
    "policy": f"""
SELECT n.nspname || '.' || c.relname || ' ' || p.polname, concat_ws('|', p.polcmd, p.polpermissive,
  (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END, ',' ORDER BY r::regrole::text) FROM unnest(p.polroles) r),
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_own("pg_class", "c.oid")}""",
    "function": f"""
SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', concat_ws('|',
  pg_get_userbyid(p.proowner), {_rights("p.proacl", "f", "p.proowner")},
  CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_own("pg_proc", "p.oid")}""",
    "type": f"""
SELECT n.nspname || '.' || t.typname, concat_ws('|', t.typtype, pg_get_userbyid(t.typowner), {_rights("t.typacl", "T", "t.typowner")},
  format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault, t.typcollation::regcollation,
  (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
  (SELECT string_agg(k.conname || pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('d', 'e', 'r') AND {_own("pg_type", "t.oid")}""",
    "collation": f"""
SELECT n.nspname || '.' || l.collname, concat_ws('|', l.collprovider, l.collisdeterministic, l.collcollate, l.collctype)
FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE {_own("pg_collation", "l.oid")}""",
    "default-rights": """
SELECT concat_ws(' ', pg_get_userbyid(d.defaclrole), n.nspname, d.defaclobjtype), (SELECT string_agg(x::text, ',' ORDER BY x::text)
  FROM unnest(d.defaclacl) x) FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace""",
    "large-object-owner": "SELECT m.oid::text, pg_get_userbyid(m.lomowner) FROM pg_largeobject_metadata m",
    "publication": """
SELECT p.pubname, concat_ws('|', p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete,
  (SELECT string_agg(t.schemaname || '.' || t.tablename, ',' ORDER BY 1) FROM pg_publication_tables t WHERE t.pubname = p.pubname))
FROM pg_publication p""",
}

# Roles that belong to the server or the cloud service, not to the tier.
ROLES = r"""
SELECT r.rolname, array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcanlogin THEN 'LOGIN' END,
    CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
    CASE WHEN NOT rolinherit THEN 'NOINHERIT' END], NULL),
  ARRAY(SELECT pg_get_userbyid(m.roleid)::text FROM pg_auth_members m WHERE m.member = r.oid ORDER BY 1),
  ARRAY(SELECT unnest(s.setconfig) FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0 ORDER BY 1)
FROM pg_roles r WHERE r.rolname !~ '^pg_' AND r.rolname !~ '^cloudsql' ORDER BY 1"""

DATABASES = rf"""
SELECT d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datlocprovider::text,
  coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', ''), d.datcollate::text, d.datctype::text, d.datconnlimit,
  ARRAY(SELECT coalesce(r.rolname, '') || ' ' || v
        FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) v
        WHERE s.setdatabase = d.oid AND v !~ '^perene\.' ORDER BY 1),
  string_to_array({_rights("d.datacl", "d", "d.datdba")}, ',')
FROM pg_database d WHERE d.datname = ANY(%s)"""
