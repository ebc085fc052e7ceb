"""The reference application of direito-lux: one page of users, two versions side by side, and the switch between them.

    python app.py serve --version 1.0 --port 8001 --database 'host=... user=app dbname=direito_lux'    (blue)
    python app.py serve --version 2.0 --port 8002 --database ...                                        (green: users have a phone)
    python app.py front --port 8000 --active active                                                     (where the traffic comes in)
    python app.py switch --to 8002 --active active                                                      (moves it, after a health check)

Version 2 needs migration 004. Both register in perene.application while they run, so that `perene migrate` knows who would break.
"""

import argparse
import http.client
import json
import os
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


def serve(version: str, port: int, database: str) -> None:
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

    server = ThreadingHTTPServer(("127.0.0.1", port), Users)
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
    parser.add_argument("do", choices=("serve", "front", "switch"))
    parser.add_argument("--version", default="1.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--to", type=int, default=8002)
    parser.add_argument("--active", type=Path, default=Path("active"))
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    if given.do == "serve":
        serve(given.version, given.port, given.database)
    elif given.do == "front":
        front(given.port, given.active)
    else:
        switch(given.to, given.active)


if __name__ == "__main__":
    main()
