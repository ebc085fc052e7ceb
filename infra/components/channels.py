"""Who is told when an alert fires in Google Cloud.

Owns: the notification channels. Deliberately does not own: the alerts that use them, and any token (an address with one belongs into
the vault, and the configuration refuses it).

Produces the following resources:
    monitoring.NotificationChannel <name>-<digest of the address>
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_gcp import monitoring

from infra import guards, naming


@dataclass(frozen=True, kw_only=True)
class ChannelsArgs:
    """channels: (kind, address), kind `email` or `webhook`."""

    project: str
    channels: Sequence[tuple[str, str]]
    labels: Mapping[str, str]
    protect: bool


# kind: (the service's type, the label that holds the address).
TYPES = {"email": ("email", "email_address"), "webhook": ("webhook_tokenauth", "url")}


class Channels(pulumi.ComponentResource):
    """Notification channels. args: what they were made from; ids: what alert policies name."""

    ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: ChannelsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:Channels", name, None, opts)
        self.args, self.ids = args, []
        for kind, address in args.channels:
            type_, label = TYPES[kind]
            channel = monitoring.NotificationChannel(
                # Named by the address, not by its place in the list: a channel taken away must not rename the others.
                f"{name}-{naming.digest(kind, address)}",
                project=args.project,
                display_name=f"perene: {address}",
                type=type_,
                labels={label: address},
                force_delete=False,
                user_labels=dict(args.labels),
                opts=guards.within(self, protect=args.protect),
            )
            self.ids.append(channel.name)
        self.register_outputs({})
