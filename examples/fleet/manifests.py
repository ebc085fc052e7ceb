"""Fleet's objects: tables once, two web servers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rendering import Application, main


def declare(app: Application) -> None:
    key = app.tier["encryption_key"]
    # The newest first: it seals; the earlier ones still open.
    kept = [key, *(one for _, one in sorted(key.get("earlier", {}).items(), reverse=True))]
    keys = [word for one in kept for word in ("--key", app.secret(one["ref"]))]
    app.job("fleet-setup", ["setup", "--role", "owner", *app.database("main", "admin")], stores=["main"])
    app.deployment("fleet-web", ["serve", "--port", "8000", *app.database("main", "app"), *keys], stores=["main"], port=8000, replicas=2)


if __name__ == "__main__":
    main(declare, __file__)
