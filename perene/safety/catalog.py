"""The catalogue: what each resource type is to data, and a conservative answer for every type that it does not know."""

import re

from perene.safety import catalog_aws, catalog_gcp, catalog_gcp_around, catalog_kubernetes
from perene.safety.kinds import DESIGN, Effect, Kind, Rule

__all__ = ["CATALOG", "EVERYONE", "KNOWN_IGNORED", "UNKNOWN", "Effect", "Kind", "Rule", "hides", "is_broad", "is_right", "kind_of"]

EVERYONE = ("allUsers", "allAuthenticatedUsers")
_BROAD_ROLES = ("roles/owner", "roles/editor")
_BROAD_WORDS = ("admin", "owner", "iam.serviceaccounttokencreator", "iam.serviceaccountuser", "iam.serviceaccountkeyadmin")
# Ignoring these is part of the design: a size counts at creation only, the disk grows by itself.
KNOWN_IGNORED = {"gcp:sql/databaseInstance:DatabaseInstance": {"settings.diskSize"}}

CATALOG: dict[str, Kind] = catalog_gcp.CATALOG | catalog_gcp_around.CATALOG | catalog_aws.CATALOG | catalog_kubernetes.CATALOG

UNKNOWN = Kind(
    data=True,
    gone=Effect.LOSES_DATA,
    gone_reason="the catalogue does not know this type, so it counts as one that holds data",
    way_out="add the type to perene/safety/catalog with its source, or have the change waived",
    source=DESIGN,
)
_GROUPS = ("pulumi:pulumi:Stack", "pulumi:pulumi:StackReference")
_RIGHT = re.compile(r"gcp:\w+/\w*iam(member|binding|policy|auditconfig|customrole)\w*:", re.IGNORECASE)
# A cluster answers for several API versions of one kind; the kind decides.
_API_VERSION = re.compile(r"kubernetes:(?P<group>[^/:]*)/v\d+\w*:(?P<kind>\w+?)(?:Patch)?$")
_BY_KIND = {match["kind"]: name for name in CATALOG if (match := _API_VERSION.match(name))}


def is_right(type_token: str) -> bool:
    """Whether a type grants or takes rights."""
    return bool(_RIGHT.match(type_token)) or kind_of(type_token) in {catalog_aws.RIGHT, catalog_kubernetes.ACCESS, catalog_gcp_around.RIGHT}


def kind_of(type_token: str, *, custom: bool = True) -> Kind:
    """The kind of a resource type (`gcp:sql/databaseInstance:DatabaseInstance`).

    custom: False for components. What nothing here knows is `UNKNOWN`, which counts as holding data.
    """
    if type_token in CATALOG:
        return CATALOG[type_token]
    if type_token.startswith("pulumi:providers:"):
        return catalog_kubernetes.PROVIDER
    if not custom or type_token in _GROUPS:
        return catalog_kubernetes.GROUP
    if _RIGHT.match(type_token):
        return catalog_gcp_around.RIGHT
    match = _API_VERSION.match(type_token)
    return CATALOG[_BY_KIND[match["kind"]]] if match and match["kind"] in _BY_KIND else UNKNOWN


def hides(ignored: str, kind: Kind) -> bool:
    """Whether ignoring changes of this path hides a property that the catalogue watches."""
    path = ignored.split("[", maxsplit=1)[0].removesuffix(".*").removesuffix("*").rstrip(".")
    watched = {rule.path for rule in kind.rules if rule.effect >= Effect.WEAKENS}
    return not path or (kind.other >= Effect.WEAKENS and not kind.rules) or any(_related(path, rule) for rule in watched)


def is_broad(role: str) -> bool:
    """Whether a role can do far more than one job needs."""
    return role in _BROAD_ROLES or any(word in role.lower() for word in _BROAD_WORDS)


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(other + ".") or other.startswith(one + ".")
