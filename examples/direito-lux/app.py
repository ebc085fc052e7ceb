"""The reference application of direito-lux: one page of users, two versions side by side, and the switch between them.

    python app.py serve --version 1.0 --port 8001 --database 'host=... user=app dbname=direito_lux'    (blue)
    python app.py serve --version 2.0 --port 8002 --database ...                                        (green: users have a phone)
    python app.py front --port 8000 --active active                                                     (where the traffic comes in)
    python app.py switch --to 8002 --active active                                                      (moves it, after a health check)
    python app.py generate --database ... --users 500 --seed 1                                          (made-up users, cases and tenants)
    python app.py verify --database ...                                                                 (counts and a hash, as JSON)

In a cluster manifests.py is the front and the switch: two Deployments, and a Service that finds one of them.
Version 2 needs migration 004. Both register in perene.application while they run, so that `perene migrate` knows who would break.
"""

import argparse
import http.client
import json
import os
import random
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg

COLUMNS = {"1": ("email", "name"), "2": ("email", "name", "phone")}
REGISTER = """INSERT INTO perene.application (instance, version) VALUES (%s, %s)
ON CONFLICT (instance) DO UPDATE SET version = excluded.version, seen_at = clock_timestamp()"""


class Handler(BaseHTTPRequestHandler):
    """Common to the application and its front: quiet, and whole answers."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


def serve(version: str, host: str, port: int, database: str) -> None:
    """Answer GET /health, GET /users and POST /users until SIGTERM; requests that have begun are finished."""
    columns = COLUMNS[version.split(".", maxsplit=1)[0]]
    instance = f"{os.uname().nodename}-{os.getpid()}"

    def connect() -> psycopg.Connection:
        return psycopg.connect(database, application_name=f"direito-lux/{version}", autocommit=True)

    class Users(Handler):
        def do_GET(self) -> None:
            try:
                with connect() as connection:
                    rows = connection.execute(f"SELECT {', '.join(columns)} FROM users ORDER BY id DESC LIMIT 100").fetchall()
            except psycopg.Error as error:  # unhealthy is an answer: the switch asks before it moves the traffic
                return self.answer(503, json.dumps({"version": version, "error": str(error)}).encode())
            users = [dict(zip(columns, row, strict=True)) for row in rows]
            return self.answer(200, json.dumps({"version": version} if self.path == "/health" else users).encode())

        def do_POST(self) -> None:
            given = json.loads(self.body())
            values = [given.get(column) for column in columns]
            query = f"INSERT INTO users (tenant_id, {', '.join(columns)}) SELECT min(id), {', '.join(['%s'] * len(columns))} FROM tenants"
            with connect() as connection:
                connection.execute(query, values)
            self.answer(201, json.dumps({"version": version}).encode())

    server = ThreadingHTTPServer((host, port), Users)
    server.daemon_threads = False  # closing waits for requests that have begun
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registered = False
    while not (registered and stop.wait(5)):
        with connect() as connection:
            connection.execute(REGISTER, (instance, version))
        registered = True
    server.shutdown()
    server.server_close()
    with connect() as connection:
        connection.execute("DELETE FROM perene.application WHERE instance = %s", (instance,))


def generate(database: str, users: int, seed: int) -> None:
    """Law offices with their people and cases, the same for a seed."""
    chance = random.Random(seed)
    with psycopg.connect(database) as connection:
        for number in range(max(1, users // 50)):
            connection.execute(
                "INSERT INTO tenants (name, plan) VALUES (%s, 'office') ON CONFLICT DO NOTHING", (f"office {seed}-{number}",)
            )
        offices = [row[0] for row in connection.execute("SELECT id FROM tenants ORDER BY id").fetchall()]
        for number in range(users):
            tenant, name = chance.choice(offices), f"user {seed}-{number}"
            connection.execute(
                "INSERT INTO users (tenant_id, email, name) VALUES (%s, %s, %s)", (tenant, f"{name.replace(' ', '.')}@office.example", name)
            )
            case = (tenant, f"{seed}-{number:07d}", chance.choice(("open", "closed")))
            connection.execute("INSERT INTO cases (tenant_id, number, status) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", case)


def verify(database: str) -> dict[str, int | str]:
    """Rows of each table, and one hash over all of them."""
    with psycopg.connect(database) as connection:
        found: dict[str, int | str] = {}
        for table in ("tenants", "users", "cases"):
            row = connection.execute(f"SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY id)) FROM {table} t").fetchone()
            found[table], found[f"content of {table}"] = row
    return found


def front(port: int, active: Path) -> None:
    """Pass every request to the port that the file `active` names at that moment."""

    class Front(Handler):
        def do_GET(self) -> None:
            upstream = http.client.HTTPConnection("127.0.0.1", int(active.read_text()), timeout=30)
            upstream.request(self.command, self.path, self.body())
            response = upstream.getresponse()
            self.answer(response.status, response.read())
            upstream.close()

        def do_POST(self) -> None:
            self.do_GET()

    ThreadingHTTPServer(("127.0.0.1", port), Front).serve_forever()


def switch(to: int, active: Path) -> None:
    """Move the traffic at once, but only to a version that answers healthily."""
    health = http.client.HTTPConnection("127.0.0.1", to, timeout=5)
    health.request("GET", "/health")
    response = health.getresponse()
    if response.status != 200:
        sys.exit(f"not switched: port {to} says {response.read().decode()}")
    beside = active.with_suffix(".new")
    beside.write_text(str(to))
    beside.rename(active)
    sys.stdout.write(f"traffic goes to port {to}, version {json.loads(response.read())['version']}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("serve", "front", "switch", "generate", "verify"))
    parser.add_argument("--version", default="1.0")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--to", type=int, default=8002)
    parser.add_argument("--active", type=Path, default=Path("active"))
    parser.add_argument("--database", default="")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    password = {"password": given.password_file.read_text().strip()} if given.password_file else {}
    database = psycopg.conninfo.make_conninfo(given.database, **password)
    if given.do == "serve":
        serve(given.version, given.host, given.port, database)
    elif given.do == "generate":
        generate(database, given.users, given.seed)
    elif given.do == "verify":
        sys.stdout.write(json.dumps(verify(database)) + "\n")
    elif given.do == "front":
        front(given.port, given.active)
    else:
        switch(given.to, given.active)


if __name__ == "__main__":
    main()
