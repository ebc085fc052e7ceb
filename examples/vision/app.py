"""The reference application of vision: detections of cameras through RabbitMQ into TimescaleDB, each with its picture in the media volume.

    python app.py setup  --database ...
    python app.py camera --broker amqps://app@HOST:5671/jarvis --detections 1000 --seed 1        (0: until it is stopped)
    python app.py worker --broker ... --database ... --media /stores/media/events --models DIR --logs DIR     (until SIGTERM)
    python app.py verify --database ... --media ... --models DIR                                 (rows against pictures, both ways, as JSON)

A detection is acknowledged to the broker only when its picture is on the disk and its row is committed, in this order: a row never names a
picture that is not there. A worker that dies in between does the same message again, and the row's key lets it in once.
"""

import argparse
import base64
import hashlib
import json
import logging
import os
import random
import signal
import ssl
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pika
import psycopg

DETECTIONS, ALERTS = "detections", "alerts"
ALERT_FROM = 0.9
DURABLE = pika.BasicProperties(delivery_mode=2)
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (id uuid NOT NULL, at timestamptz NOT NULL, camera text NOT NULL, kind text NOT NULL,
    score real NOT NULL, picture text NOT NULL, sha256 text NOT NULL, PRIMARY KEY (id, at));
"""
HYPERTABLE = """
DO $$ BEGIN IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    PERFORM create_hypertable('events', 'at', if_not_exists => true); END IF; END $$
"""


def connect(broker: str, password: Path | None, ca: Path | None) -> Any:
    """A connection whose publishes are confirmed."""
    where = urlsplit(broker)
    secret = password.read_text().strip() if password else ""
    parameters = pika.ConnectionParameters(
        host=where.hostname,
        port=where.port,
        virtual_host=unquote(where.path.removeprefix("/")),
        credentials=pika.PlainCredentials(where.username, secret),
        ssl_options=pika.SSLOptions(ssl.create_default_context(cafile=str(ca)), where.hostname) if ca else None,
        heartbeat=30,
    )
    return pika.BlockingConnection(parameters)


def camera(connection: Any, detections: int, seed: int) -> int:
    """Made-up detections, the same for a seed; how many the broker confirmed."""
    chance = random.Random(seed)
    channel = connection.channel()
    channel.confirm_delivery()
    done = 0
    while not detections or done < detections:
        picture = b"\xff\xd8\xff\xe0" + chance.randbytes(chance.randrange(500, 5_000))
        message = {
            "id": "-".join(chance.randbytes(size).hex() for size in (4, 2, 2, 2, 6)),
            "at": 1_790_000_000 + chance.randrange(60 * 86_400),
            "camera": f"camera-{chance.randrange(16):02d}",
            "kind": chance.choice(("person", "vehicle", "animal")),
            "score": round(chance.random(), 3),
            "picture": base64.b64encode(picture).decode(),
        }
        channel.basic_publish("", DETECTIONS, json.dumps(message).encode(), DURABLE, mandatory=True)
        done += 1
        if not detections:
            time.sleep(0.1)
    return done


def store(database: str, media: Path, message: dict[str, Any]) -> None:
    """Picture to the disk, then the row."""
    picture = base64.b64decode(message["picture"])
    name = f"{message['id']}.jpg"
    beside = media / f".{name}"
    with beside.open("wb") as file:
        file.write(picture)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(media / name)
    row = [message[key] for key in ("id", "at", "camera", "kind", "score")]
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO events (id, at, camera, kind, score, picture, sha256) VALUES (%s, to_timestamp(%s), %s, %s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [*row, name, hashlib.sha256(picture).hexdigest()],
        )


def worker(connection: Any, database: str, media: Path) -> None:
    """One detection after the other, until SIGTERM."""
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=10)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    for method, _, body in channel.consume(DETECTIONS, inactivity_timeout=0.2):
        if method:
            message = json.loads(body)
            store(database, media, message)
            if message["score"] >= ALERT_FROM:
                channel.basic_publish("", ALERTS, json.dumps({"id": message["id"], "score": message["score"]}).encode(), DURABLE)
            channel.basic_ack(method.delivery_tag)
            logging.info("%s %s %s", message["id"], message["kind"], message["score"])
        if stopping:
            break
    channel.cancel()


def model(models: Path) -> str:
    """The hash of the detection model, which is downloaded where it is not there yet (here: made up)."""
    file = models / "detection" / "model.bin"
    if not file.exists():
        beside = file.with_suffix(".part")
        beside.write_bytes(random.Random(0).randbytes(1_000_000))
        beside.replace(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def verify(database: str, media: Path, models: Path | None) -> dict[str, Any]:
    """Rows without a picture or with another one, and pictures without a row."""
    with psycopg.connect(database) as connection:
        rows = dict(connection.execute("SELECT picture, sha256 FROM events").fetchall())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in media.glob("[!.]*.jpg")}
    whole = hashlib.sha256("".join(f"{name} {rows[name]}\n" for name in sorted(rows)).encode()).hexdigest()
    wrong = {"without picture": len(rows.keys() - files.keys()), "without row": len(files.keys() - rows.keys())}
    other = sum(files[name] != rows[name] for name in rows.keys() & files.keys())
    return {
        "events": len(rows),
        "pictures": len(files),
        **wrong,
        "other picture": other,
        "content": whole,
        "model": model(models) if models else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("setup", "camera", "worker", "verify"))
    parser.add_argument("--database", default="")
    parser.add_argument("--broker", default="")
    for name in ("--password-file", "--broker-password-file", "--broker-ca", "--logs", "--models"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--media", type=Path, default=Path())
    parser.add_argument("--detections", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--role", default="NONE", help="who shall own the tables: owner, whose default rights let the others in")
    given = parser.parse_args()
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if given.logs:
        handler = RotatingFileHandler(given.logs / f"{given.do}.log", maxBytes=1_000_000, backupCount=5)
        logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(message)s")
        logging.getLogger("pika").setLevel(logging.WARNING)
    password = {"password": given.password_file.read_text().strip()} if given.password_file else {}
    database = psycopg.conninfo.make_conninfo(given.database, **password)
    if given.do == "setup":
        with psycopg.connect(database) as connection:
            connection.execute(f"SET ROLE {given.role}; {SCHEMA} {HYPERTABLE}")
    elif given.do == "verify":
        found = verify(database, given.media, given.models)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.exit(6 if found["without picture"] or found["without row"] or found["other picture"] else 0)
    else:
        broker = connect(given.broker, given.broker_password_file, given.broker_ca)
        if given.do == "camera":
            sys.stdout.write(json.dumps({"confirmed": camera(broker, given.detections, given.seed)}) + "\n")
        else:
            if given.models:
                logging.info("model %s", model(given.models))
            worker(broker, database, given.media)
        broker.close()


if __name__ == "__main__":
    main()
