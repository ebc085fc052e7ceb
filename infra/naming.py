"""Every name that is made, by formula, within its service's limits. Names of data-bearing things are fixed: a changed one is a lost one."""

import hashlib

TIER_CONFIG = "perene-tier"


def component(store: str, generation: int) -> str:
    """Logical name of a store's component and its workload: `main-g1`."""
    return f"{store}-g{generation}"


def claim(workload: str, ordinal: int = 0) -> str:
    """A volume claim as a StatefulSet would name it, so that either may adopt it: `data-main-g1-0`."""
    return f"data-{workload}-{ordinal}"


def store_mount(store: str) -> str:
    """Where the server and every job see a store's volume: one path, because RabbitMQ's quorum queues hold absolute ones."""
    return f"/stores/{store}"


def tls_secret(workload: str) -> str:
    """The Secret with a server's certificate."""
    return f"{workload}-tls"


def login_secret(workload: str, role: str) -> str:
    """The Secret with one role's password."""
    return f"{workload}-{role}"


# An object whose name carries a digest of its content: other content is another object, and the old one must be able to go.
NAMED_BY_CONTENT = {"perene.dev/named-by-content": "true"}


# A cache: the one server whose pods may run without a volume.
KEEPS_NOTHING = {"perene.dev/keeps": "nothing"}


def access_label(store: str) -> str:
    """The label by which a client's pod says that it uses a store."""
    return f"access.perene.dev/{store}"


def service_host(workload: str, namespace: str) -> str:
    """The name under which a store's Service is found and which its certificate carries."""
    return f"{workload}.{namespace}.svc.cluster.local"


def cluster_wide(namespace: str) -> dict[str, str]:
    """The label by which an object outside every namespace says whose it is."""
    return {"perene.dev/namespace": namespace}


def digest(*parts: str) -> str:
    """Eight hexadecimal digits over texts: tells whether content that a pod reads at start has changed."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def short(name: str, limit: int) -> str:
    """A name within a limit of characters; a longer one keeps its start and gets a digest, so that two long ones never meet."""
    return name if len(name) <= limit else f"{name[: limit - 9].rstrip('-')}-{digest(name)}"


def instance(system: str, environment: str, store: str, generation: int) -> str:
    """A Cloud SQL instance; 98 characters together with the project (checked by the configuration)."""
    return f"{system}-{environment}-{store}-g{generation}"


def service_account_id(system: str, environment: str, purpose: str) -> str:
    """A Google service account id: 6 to 30 characters."""
    return short(f"{system}-{environment}-{purpose}", 30)


def bucket(scope: str, system: str, environment: str, purpose: str) -> str:
    """A bucket: at most 63 characters, unique in the world by a digest of the project or account."""
    return f"{short(f'{system}-{environment}-{purpose}', 54)}-{digest(scope)}"


def key_purpose(purpose: str, generation: int) -> str:
    """A generation's `encryption-key` or `sentinel`: the first one's name is fixed, later ones carry their number."""
    return purpose if generation == 1 else f"{purpose}-g{generation}"


def secret_id(system: str, environment: str, purpose: str) -> str:
    """A secret in a cloud vault."""
    return f"{system}-{environment}-{purpose}"


def labels(stack: str, system: str, environment: str) -> dict[str, str]:
    """Labels of everything in Kubernetes that belongs to the tier; `perene.dev/stack` is what pruning goes by."""
    return {
        "app.kubernetes.io/managed-by": "perene",
        "app.kubernetes.io/part-of": system,
        "perene.dev/environment": environment,
        "perene.dev/stack": stack,
    }
