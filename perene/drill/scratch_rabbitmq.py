"""A RabbitMQ of one's own: in a directory, on this computer's own addresses only, gone afterwards with its epmd."""

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perene.backup.rabbitmq import Broker
from perene.drill.daemon import daemon
from perene.errors import PereneError

# The Debian package's `rabbitmq-server` on PATH insists on the package's own user; this is what it runs.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@dataclass(frozen=True)
class Place:
    """Where a broker lies. node: with its host; data: the directory that holds the node's own."""

    node: str
    data: Path


@contextmanager
def scratch(work: Path, place: Place | None = None, *, login: tuple[str, str] | None = None, kill: bool = True) -> Iterator[Broker]:
    """A running broker with its management interface.

    place: where it lies, else below `work`; login: an administrator of the broker that lies there already (a new one gets its own).
    """
    with tempfile.TemporaryDirectory(dir=work, prefix="rabbitmq-") as name:
        folder = Path(name)
        epmd, distribution, amqp, http = free_ports(4)
        chosen = place or Place(f"perene-{secrets.token_hex(4)}@localhost", folder / "mnesia")
        # Its user and virtual host are named so that no set has them: an import would change their password.
        own, password = login or (f"perene-{secrets.token_hex(4)}", secrets.token_hex(16))
        config = folder / "rabbitmq.conf"
        config.touch(mode=0o600)
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{amqp}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": str(http),
            "default_user": own,
            "default_pass": password,
            "default_vhost": own,
            "log.console": "true",
            "log.file": "false",
            "disk_free_limit.absolute": "50MB",
        }
        config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (folder / "inetrc").write_text(f'{{host, {{127,0,0,1}}, ["{chosen.node.rpartition("@")[2]}"]}}.\n{{lookup, [file, native]}}.\n')
        env = {
            "HOME": name,
            "RABBITMQ_NODENAME": chosen.node,
            "RABBITMQ_MNESIA_BASE": str(chosen.data),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # A node's name holds its host's, which nobody else need know here.
            "ERL_INETRC": str(folder / "inetrc"),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        broker = Broker(url=f"http://127.0.0.1:{http}", user=own, password=password)

        def ready() -> bool:
            try:
                return bool(broker.ask("GET", "/api/overview"))
            except PereneError:
                return False

        (folder / "epmd").mkdir()
        # Started here, so that it listens on this computer only and ends with the broker: the broker's own would outlive it.
        names = ["epmd", "-address", "127.0.0.1", "-port", str(epmd)]
        with (
            daemon(names, what="starting epmd", folder=folder / "epmd", ready=lambda: _listens(epmd)),
            daemon([str(PROGRAM)], what="starting a RabbitMQ of our own", folder=folder, ready=ready, env=env, seconds=180, kill=kill),
        ):
            yield broker


def free_ports(count: int) -> list[int]:
    """Ports of this computer that nobody has just now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
