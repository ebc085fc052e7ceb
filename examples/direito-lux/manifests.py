"""Direito-lux's objects: two versions side by side, and the Service that sends the traffic to one of them.

python examples/direito-lux/manifests.py tier.json blue  | kubectl apply -f -        (the traffic goes to version 1)
python examples/direito-lux/manifests.py tier.json green | kubectl apply -f -        (the switch: to version 2, back with `blue`)
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rendering import Application, main

VERSIONS = {"blue": "1.0", "green": "2.0"}
PORT = 8000


def declare(app: Application) -> None:
    active = sys.argv[2] if len(sys.argv) > 2 else "blue"
    for color, version in VERSIONS.items():
        words = ["serve", "--version", version, "--host", "0.0.0.0", "--port", str(PORT), *app.database("main", "app")]  # noqa: S104 - its pod
        app.deployment(f"direito-lux-{color}", words, stores=["main"], port=PORT, replicas=2)
    # A pod that is not healthy is found by no Service: a version that does not work gets no traffic.
    app.service("direito-lux", PORT, of=f"direito-lux-{active}")


if __name__ == "__main__":
    main(declare, __file__)
