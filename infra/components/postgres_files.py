"""What a PostgreSQL in the cluster reads at start: settings, client authentication, and the SQL of its roles. Pure text."""

from collections.abc import Iterable
from pathlib import Path

FILES = Path(__file__).parent / "files"
MIB = 2**20


def script(name: str) -> str:
    """A file of infra/components/files."""
    return (FILES / name).read_text(encoding="utf-8")


def settings(*, memory: int, volume: int, max_connections: int, slow_query_ms: int, preload: Iterable[str]) -> str:
    """postgresql.conf. memory and volume in bytes; fsync, full_page_writes and synchronous_commit stay as they are: on."""
    libraries = ",".join(preload)
    values = {
        "listen_addresses": "'*'",
        "unix_socket_directories": "'/run/postgresql'",
        "hba_file": "'/etc/perene/config/pg_hba.conf'",
        "ident_file": "'/etc/perene/config/pg_ident.conf'",
        "max_connections": str(max_connections),
        "shared_buffers": f"{max(64, memory // MIB // 4)}MB",
        "effective_cache_size": f"{max(128, memory * 3 // MIB // 4)}MB",
        "maintenance_work_mem": f"{max(32, memory // MIB // 16)}MB",
        "max_wal_size": f"{min(4096, max(128, volume // MIB // 10))}MB",
        "min_wal_size": "80MB",
        "wal_compression": "on",
        "ssl": "on",
        "ssl_cert_file": "'/etc/perene/secrets/tls/tls.crt'",
        "ssl_key_file": "'/etc/perene/secrets/tls/tls.key'",
        "ssl_min_protocol_version": "TLSv1.3",
        "password_encryption": "scram-sha-256",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_timezone": "UTC",
        "log_line_prefix": "'%m [%p] %q%u@%d %a '",
        "log_min_duration_statement": str(slow_query_ms),
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_checkpoints": "on",
        "log_connections": "off",
        "log_lock_waits": "on",
        "log_temp_files": "10MB",
        "log_autovacuum_min_duration": "1min",
        "track_io_timing": "on",
        "timezone": "UTC",
    }
    if libraries:
        values |= {"shared_preload_libraries": f"'{libraries}'", "max_worker_processes": "64"}
    return "".join(f"{name} = {value}\n" for name, value in values.items())


HBA = """\
# type  database  user   address  method
local   all       admin           peer map=pod
local   all       all             reject
hostssl all       all    all      scram-sha-256
host    all       all    all      reject
"""
# The pod's own user, whom `kubectl exec` gives, is admin over the socket.
IDENT = "pod postgres admin\n"
