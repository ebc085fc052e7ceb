"""Olt's objects: tables once, a web server, a worker, and the scheduler of every hour."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rendering import Application, main


def declare(app: Application) -> None:
    def queue(name: str) -> list[str]:
        end = app.store(name)["endpoint"]
        address = f"rediss://app@{end['host']}:{end['port']}/0?ssl_ca_certs={app.authority(name)}"
        return [f"--{name}", address, f"--{name}-password-file", app.login(name, "app")]

    logs, media = (app.store(name)["volume"]["mount_path"] for name in ("logs", "media"))
    stores = ["main", "tasks", "cache"]
    every = [*app.database("main", "app"), *queue("tasks"), *queue("cache")]
    app.job("olt-setup", ["setup", "--role", "owner", *app.database("main", "admin")], stores=["main"])
    app.deployment(
        "olt-web",
        ["web", *every, "--media", f"{media}/media", "--logs", f"{logs}/application"],
        stores=stores,
        port=8000,
        volumes=["media", "logs"],
    )
    app.deployment("olt-worker", ["worker", *every, "--logs", f"{logs}/worker"], stores=stores, volumes=["logs"])
    app.schedule("olt-scheduler", "0 * * * *", ["schedule", *queue("tasks")], stores=["tasks"])


if __name__ == "__main__":
    main(declare, __file__)
