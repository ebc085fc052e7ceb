"""The reference application of olt: an inventory of network equipment, collected by workers, hourly, with a cache before it.

    python app.py setup     --database ...
    python app.py web       --database ... --tasks rediss://... --cache rediss://... --media DIR --logs DIR --port 8000
    python app.py worker    --database ... --tasks ... --cache ... --logs DIR          (one task after the other, until SIGTERM)
    python app.py schedule  --tasks ...                                                (puts the hour's four tasks into the queue)
    python app.py status    --tasks ...                                                (queue, tasks at work, last results)
    python app.py generate  --database ... --media DIR --units 500 --seed 1
    python app.py verify    --database ... --tasks ... --media DIR                     (counts, rows against photos, tasks, as JSON)

The web answers GET /equipment (cached 5 minutes), GET /customers (cached an hour), POST /equipment (which drops what is cached of it),
POST /media/NAME, GET /status and /health. A task is moved to a list of its own while it is worked on: a worker that dies loses none.
"""

import argparse
import hashlib
import json
import logging
import random
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import psycopg
import redis

KINDS = ("equipment", "unit", "mac_address", "customer")
QUEUE, WORKING, STATUS = "tasks", "tasks:working", "tasks:status"
# What changes with every collection, and what hardly ever does: seconds in the cache.
TTL = {"equipment": 300, "customer": 3600}
SCHEMA = """
CREATE TABLE IF NOT EXISTS equipment (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE NOT NULL, seen_at timestamptz);
CREATE TABLE IF NOT EXISTS customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE IF NOT EXISTS unit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, equipment bigint NOT NULL REFERENCES equipment (id),
    customer bigint REFERENCES customer (id), mac_address macaddr UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS photo (path text PRIMARY KEY, sha256 text NOT NULL);
CREATE TABLE IF NOT EXISTS collection (at timestamptz NOT NULL DEFAULT now(), kind text NOT NULL, rows bigint NOT NULL);
"""


class Inventory:
    """The stores. tasks keeps every task that was taken; cache may lose anything at any time."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.database = psycopg.conninfo.make_conninfo(given.database or "", **_password(given.password_file))
        self.tasks, self.cache = _redis(given.tasks, given.tasks_password_file), _redis(given.cache, given.cache_password_file)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Rows of a kind, from the cache while they are fresh there."""
        cached = self.cache.get(f"rows:{kind}")
        if cached:
            return json.loads(cached)
        with psycopg.connect(self.database, row_factory=psycopg.rows.dict_row) as connection:
            found = connection.execute(f"SELECT id, name FROM {kind} ORDER BY id LIMIT 100").fetchall()
        self.cache.set(f"rows:{kind}", json.dumps(found), ex=TTL[kind])
        return found

    def add(self, name: str) -> None:
        with psycopg.connect(self.database) as connection:
            connection.execute("INSERT INTO equipment (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
        self.cache.delete("rows:equipment")  # after the commit: what is read next is the new state

    def photograph(self, media: Path, name: str, picture: bytes) -> None:
        """The file first, then its row: a row never names a photo that is not there."""
        (media / name).write_bytes(picture)
        with psycopg.connect(self.database) as connection:
            connection.execute(
                "INSERT INTO photo VALUES (%s, %s) ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256",
                (name, hashlib.sha256(picture).hexdigest()),
            )

    def schedule(self) -> int:
        """Put a task of each kind into the queue, unless the last one of it still waits."""
        waiting = {json.loads(task)["kind"] for task in self.tasks.lrange(QUEUE, 0, -1)}
        for kind in sorted(set(KINDS) - waiting):
            self.tasks.lpush(QUEUE, json.dumps({"kind": kind, "at": time.time()}))
        return len(set(KINDS) - waiting)

    def work(self, stop: threading.Event) -> None:
        """One task after the other. What a dead worker had taken is done first: collecting twice does no harm."""
        while self.tasks.lmove(WORKING, QUEUE, "LEFT", "RIGHT"):
            logging.info("a task of a dead worker is taken up again")
        while not stop.is_set():
            task = self.tasks.blmove(QUEUE, WORKING, 1, "RIGHT", "LEFT")
            if task:
                self.collect(json.loads(task)["kind"])
                self.tasks.lrem(WORKING, 1, task)

    def collect(self, kind: str) -> None:
        column = {"mac_address": "SELECT count(*) FROM unit"}.get(kind, f"SELECT count(*) FROM {kind}")
        with psycopg.connect(self.database) as connection:
            rows = connection.execute(column).fetchone()[0]
            connection.execute("INSERT INTO collection (kind, rows) VALUES (%s, %s)", (kind, rows))
            if kind == "equipment":
                connection.execute("UPDATE equipment SET seen_at = now()")
        self.tasks.hset(STATUS, kind, json.dumps({"at": time.time(), "rows": rows}))
        self.cache.delete(f"rows:{kind}")
        logging.info("collected %s: %s rows", kind, rows)

    def verify(self, media: Path) -> dict[str, Any]:
        """Rows of each table, a hash over the units, photos that are not as their row says, and the tasks with their last results."""
        with psycopg.connect(self.database) as connection:
            names = ("equipment", "customer", "unit", "photo", "collection")
            counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
            units = connection.execute("SELECT md5(string_agg(u::text, ' ' ORDER BY id)) FROM unit u").fetchone()[0]
            rows = dict(connection.execute("SELECT path, sha256 FROM photo").fetchall())
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in media.iterdir()}
        wrong = sum(files.get(name) != rows.get(name) for name in files.keys() | rows.keys())
        status = self.status()
        return {**counts, "content": units, "photos that do not fit": wrong, "collected": len(status["last"]), "tasks": status}

    def status(self) -> dict[str, Any]:
        last = {kind: json.loads(text) for kind, text in self.tasks.hgetall(STATUS).items()}
        return {"waiting": self.tasks.llen(QUEUE), "working": self.tasks.llen(WORKING), "last": last}


def web(inventory: Inventory, media: Path, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path == "/status":
                return self.answer(200, inventory.status())
            return self.answer(200, inventory.rows("customer" if self.path == "/customers" else "equipment"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/media/"):
                inventory.photograph(media, Path(self.path).name, body)
            else:
                inventory.add(json.loads(body)["name"])
            self.answer(201, {})

        def log_message(self, text: str, *values: object) -> None:
            logging.info(text, *values)

    ThreadingHTTPServer(("", port), Handler).serve_forever()


def generate(inventory: Inventory, media: Path, units: int, seed: int) -> None:
    chance = random.Random(seed)
    with psycopg.connect(inventory.database) as connection:
        for number in range(max(1, units // 20)):
            connection.execute("INSERT INTO equipment (name) VALUES (%s) ON CONFLICT DO NOTHING", (f"olt-{number:04d}",))
            connection.execute("INSERT INTO customer (name) VALUES (%s)", (f"customer {chance.randrange(10**6):06d}",))
        for _ in range(units):
            address = ":".join(f"{byte:02x}" for byte in chance.randbytes(6))
            connection.execute(
                "INSERT INTO unit (equipment, customer, mac_address) SELECT e.id, c.id, %s FROM equipment e, customer c "
                "ORDER BY md5(%s || e.id || '-' || c.id) LIMIT 1 ON CONFLICT DO NOTHING",
                (address, address),
            )
    for number in range(20):
        inventory.photograph(media, f"site-{number:02d}.jpg", b"\xff\xd8\xff\xe0" + chance.randbytes(chance.randrange(1_000, 200_000)))


def _redis(url: str | None, password: Path | None) -> Any:
    return redis.Redis.from_url(url, decode_responses=True, **_password(password)) if url else None


def _password(file: Path | None) -> dict[str, str]:
    return {"password": file.read_text().strip()} if file else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("setup", "web", "worker", "schedule", "status", "generate", "verify"))
    for name in ("--database", "--tasks", "--cache"):
        parser.add_argument(name)
    for name in ("--password-file", "--tasks-password-file", "--cache-password-file", "--logs"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--media", type=Path, default=Path())
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--role", default="NONE", help="who shall own the tables: owner, whose default rights let the others in")
    given = parser.parse_args()
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if given.logs:
        handler = RotatingFileHandler(given.logs / f"{given.do}.log", maxBytes=1_000_000, backupCount=5)
        logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(message)s")
    inventory = Inventory(given)
    if given.do == "setup":
        with psycopg.connect(inventory.database) as connection:
            connection.execute(f"SET ROLE {given.role}; {SCHEMA}")
    elif given.do == "web":
        web(inventory, given.media, given.port)
    elif given.do == "worker":
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        inventory.work(stop)
    elif given.do == "generate":
        generate(inventory, given.media, given.units, given.seed)
    elif given.do == "verify":
        found = inventory.verify(given.media)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.exit(6 if found["photos that do not fit"] else 0)
    else:
        sys.stdout.write(json.dumps({"queued": inventory.schedule()} if given.do == "schedule" else inventory.status()) + "\n")


if __name__ == "__main__":
    main()
