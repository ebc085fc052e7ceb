"""The private way to a Cloud SQL instance in a network that somebody else owns.

Owns: the address range and the peering connection. Deliberately does not own: the network.

Produces the following resources:
    compute.GlobalAddress <name>-range, servicenetworking.Connection <name>-connection
"""

from dataclasses import dataclass

import pulumi
from pulumi_gcp import compute, servicenetworking

from infra import guards


@dataclass(frozen=True, kw_only=True)
class PrivateNetworkArgs:
    """network: full id; prefix_length: size of the range, 16 to 24."""

    project: str
    network: str
    range_name: str
    prefix_length: int
    protect: bool


class PrivateNetwork(pulumi.ComponentResource):
    """A peered network. id: what an instance names as its network; known only once the peering stands, so that nothing is made before."""

    id: pulumi.Output[str]

    def __init__(self, name: str, args: PrivateNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("perene:gcp:PrivateNetwork", name, None, opts)
        addresses = compute.GlobalAddress(
            f"{name}-range",
            name=args.range_name,
            project=args.project,
            purpose="VPC_PEERING",
            address_type="INTERNAL",
            prefix_length=args.prefix_length,
            network=args.network,
            opts=guards.within(self, protect=args.protect),
        )
        connection = servicenetworking.Connection(
            f"{name}-connection",
            network=args.network,
            service="servicenetworking.googleapis.com",
            reserved_peering_ranges=[addresses.name],
            # The peering cannot be removed while an instance uses it; leaving it does no harm.
            deletion_policy="ABANDON",
            opts=guards.within(self, protect=args.protect, depends_on=[addresses]),
        )
        self.id = connection.network
        self.register_outputs({"id": self.id})
