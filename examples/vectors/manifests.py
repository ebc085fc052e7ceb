"""Vectors' objects: collections once, a writer that goes on for ever."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rendering import TMP, Application, main


def declare(app: Application) -> None:
    store = app.store("vectors")
    where = ["--url", f"https://{store['endpoint']['host']}:{store['endpoint']['port']}", "--ca", app.authority("vectors")]
    where += ["--key-file", app.login("vectors", "admin")]
    wanted = ["--collections", json.dumps(store["collections"]), "--aliases", json.dumps(store["aliases"])]
    app.job("vectors-setup", ["setup", *where, *wanted], stores=["vectors"])
    app.deployment("vectors-writer", ["write", *where, *wanted, "--points", "0", "--log", f"{TMP}/acknowledged.log"], stores=["vectors"])


if __name__ == "__main__":
    main(declare, __file__)
