"""The reference application of vectors: documents and images as made-up vectors in Qdrant, with a log of what was acknowledged.

    python app.py setup  --url https://... --collections '{"documents": {"size": 384, "distance": "Cosine"}}' --aliases '{"search": ...}'
    python app.py check  --url ... --collections ... --aliases ...   (ends with 0 when all of them are there; what `perene rebuild` asks)
    python app.py write  --url ... --collections ... --log acknowledged.log --points 5000       (0: until it is stopped)
    python app.py verify --url ... --log acknowledged.log            (every acknowledged point is there with its vector, as JSON)

`setup` skips what exists. A batch is written to the log, and the log to the disk, only after Qdrant acknowledged it: what the log names
must survive whatever happens to the pod.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import requests

BATCH = 100


class Qdrant:
    """Qdrant's REST interface."""

    def __init__(self, url: str, key: Path | None, ca: Path | None) -> None:
        self.url, self.session = url.rstrip("/"), requests.Session()
        self.session.verify = str(ca) if ca else True
        self.session.headers.update({"api-key": key.read_text().strip()} if key else {})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The `result` of an answer; requests' errors when there is none."""
        answer = self.session.request(method, self.url + path, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()["result"]

    def collections(self) -> dict[str, tuple[int, str]]:
        """Name -> dimensions and distance."""
        names = [one["name"] for one in self.ask("GET", "/collections")["collections"]]
        settings = {name: self.ask("GET", f"/collections/{name}")["config"]["params"]["vectors"] for name in names}
        return {name: (one["size"], one["distance"]) for name, one in settings.items()}

    def aliases(self) -> dict[str, str]:
        return {one["alias_name"]: one["collection_name"] for one in self.ask("GET", "/aliases")["aliases"]}


def setup(qdrant: Qdrant, collections: dict[str, Any], aliases: dict[str, str]) -> None:
    """Make the collections and aliases that are not there."""
    there, named = qdrant.collections(), qdrant.aliases()
    for name, one in collections.items():
        if name not in there:
            qdrant.ask("PUT", f"/collections/{name}", {"vectors": {"size": one["size"], "distance": one["distance"]}})
    new = [{"create_alias": {"alias_name": alias, "collection_name": to}} for alias, to in aliases.items() if alias not in named]
    if new:
        qdrant.ask("POST", "/collections/aliases", {"actions": new})


def missing(qdrant: Qdrant, collections: dict[str, Any], aliases: dict[str, str]) -> list[str]:
    """What is not there, or otherwise than wanted."""
    there, named = qdrant.collections(), qdrant.aliases()
    wrong = [
        f"collection {name} is {there.get(name, 'absent')}" for name, one in collections.items() if there.get(name) != tuple(one.values())
    ]
    return wrong + [f"alias {alias} names {named.get(alias, 'nothing')}" for alias, to in aliases.items() if named.get(alias) != to]


def vector(number: int, size: int) -> list[float]:
    """The same for the same number, and a whole number of 1/1024, so that it comes back exactly."""
    chance = random.Random(number)
    return [chance.randrange(-1024, 1024) / 1024 for _ in range(size)]


def write(qdrant: Qdrant, collections: dict[str, Any], log: Path, points: int) -> None:
    """Batches in turn to each collection; a batch that is not acknowledged is sent again (an upsert is idempotent)."""
    number = sum(len(json.loads(line)["ids"]) for line in log.read_text().splitlines()) if log.exists() else 0
    end = number + points
    with log.open("a") as acknowledged:
        while not points or number < end:
            name = list(collections)[number // BATCH % len(collections)]
            ids = list(range(number + 1, number + 1 + (min(BATCH, end - number) if points else BATCH)))
            batch = [{"id": one, "vector": vector(one, collections[name]["size"]), "payload": {"title": f"{name} {one}"}} for one in ids]
            try:
                qdrant.ask("PUT", f"/collections/{name}/points?wait=true", {"points": batch})
            except requests.RequestException:
                time.sleep(0.2)
                continue
            acknowledged.write(json.dumps({"collection": name, "ids": ids}) + "\n")
            acknowledged.flush()
            os.fsync(acknowledged.fileno())
            number = ids[-1]


def verify(qdrant: Qdrant, log: Path) -> dict[str, Any]:
    """Counts of what was acknowledged and is gone, and a hash over the payloads in their order."""
    lost, seen, whole = [], 0, hashlib.sha256()
    for line in log.read_text().splitlines():
        batch = json.loads(line)
        found = qdrant.ask("POST", f"/collections/{batch['collection']}/points", {"ids": batch["ids"], "with_payload": True})
        there = {point["id"]: point["payload"] for point in found}
        seen += len(batch["ids"])
        lost += [f"{batch['collection']} {one}" for one in batch["ids"] if one not in there]
        whole.update(json.dumps([there.get(one) for one in batch["ids"]], sort_keys=True).encode())
    return {"acknowledged": seen, "lost": len(lost), "first lost": lost[:5], "content": whole.hexdigest()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("setup", "check", "write", "verify"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--collections", type=json.loads, default={})
    parser.add_argument("--aliases", type=json.loads, default={})
    parser.add_argument("--log", type=Path, default=Path("acknowledged.log"))
    parser.add_argument("--points", type=int, default=5000)
    given = parser.parse_args()
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    qdrant = Qdrant(given.url, given.key_file, given.ca)
    if given.do == "setup":
        setup(qdrant, given.collections, given.aliases)
    elif given.do == "check":
        wrong = missing(qdrant, given.collections, given.aliases)
        sys.exit("\n".join(wrong) if wrong else 0)
    elif given.do == "write":
        write(qdrant, given.collections, given.log, given.points)
    else:
        found = verify(qdrant, given.log)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.exit(6 if found["lost"] else 0)


if __name__ == "__main__":
    main()
