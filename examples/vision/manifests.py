"""Vision's objects: tables once, a camera that goes on for ever, a worker."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rendering import Application, main


def declare(app: Application) -> None:
    events = app.store("events")
    address = f"amqps://app@{events['endpoint']['host']}:{events['endpoint']['port']}/{next(iter(events['vhosts']))}"
    broker = ["--broker", address, "--broker-password-file", app.login("events", "app"), "--broker-ca", app.authority("events")]
    media, models, logs = (app.store(name)["volume"]["mount_path"] for name in ("media", "models", "logs"))
    app.job("vision-setup", ["setup", "--role", "owner", *app.database("main", "admin")], stores=["main"])
    app.deployment("vision-camera", ["camera", *broker, "--detections", "0"], stores=["events"])
    app.deployment(
        "vision-worker",
        ["worker", *broker, *app.database("main", "app"), "--media", f"{media}/events", "--models", models, "--logs", f"{logs}/worker"],
        stores=["main", "events"],
        volumes=["media", "models", "logs"],
    )


if __name__ == "__main__":
    main(declare, __file__)
