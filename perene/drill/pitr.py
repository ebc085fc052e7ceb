"""A drill by point-in-time recovery: an instance of Cloud SQL cloned to a moment, compared, and the clone deleted, whatever happened.

What can be compared: nobody recorded the content of an arbitrary moment, so rows are not. Against the newest set from before it: tables,
definitions, rights, extensions and roles as they were, sequences not smaller; and the configured counts. Every row is read on the way.

Built on the Admin API and tried on a double of it: unproven until it ran in a cloud.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.auth.transport.requests import Request

from perene.backup.cloud_sql import Instance, SqlAdmin
from perene.backup.postgres import fingerprint
from perene.backup.postgres.server import Server
from perene.backup.progress import Stages
from perene.contract.drill import CheckResult, Difference, DrillRecord, StoreResult
from perene.contract.recovery_set import PostgresContent, RecoverySet
from perene.contract.tier import Login, PostgresEndpoint, Store, TierDocument
from perene.contract.values import Duration
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.restore import compare, postgres
from perene.safety import drills
from perene.version import VERSION

# By this name a clone that was left behind is known; Cloud SQL takes 98 characters with the project, and labels are no names.
MARK = "-drill-"
LABEL = {"perene-drill": "pitr"}
# What a drill's clone must not inherit: what would keep it, page for it, or shut us out.
OWN_SETTINGS: Mapping[str, Any] = {
    "deletionProtectionEnabled": False,
    "retainBackupsOnDelete": False,
    "finalBackupConfig": {"enabled": False},
    "availabilityType": "ZONAL",
    "connectorEnforcement": "NOT_REQUIRED",
}
PATIENCE = 4 * 3600.0
TRIES = 3
# Rows and contents belong to the set's moment, not to the clone's.
OF_A_MOMENT = frozenset({"rows", "content"})
Reach = Callable[[Mapping[str, Any]], AbstractContextManager[Server]]


@dataclass
class Outcome:
    """What a drill found. seconds: until everything was compared; reasons: of a failure."""

    result: StoreResult | None = None
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)
    version: str = ""


def drill(
    tier: TierDocument,
    name: str,
    manifest: RecoverySet,
    *,
    admin: SqlAdmin,
    reach: Reach,
    signing_key: bytes,
    stages: Stages,
    to: datetime | None = None,
    now: datetime | None = None,
    patience: float = PATIENCE,
) -> DrillRecord:
    """Drill one store. manifest: a set from before the moment; to: the moment, left out: the newest that can be recovered; reach: a clone
    as a server that one can log in to. The record tells every failure, also that of the service, and which clones were left behind."""
    began = now or datetime.now(UTC)
    store = tier.stores[name]
    source = _instance(store, name)
    newest = datetime.fromisoformat(str(admin.call("GET", f"{source.path}/getLatestRecoveryTime")["latestRecoveryTime"]))
    moment = to or newest
    if moment > newest or moment < datetime.fromisoformat(manifest.finished):
        raise PereneError(
            f"{moment.isoformat()} is not between the set {manifest.id} and the newest moment that can be recovered ({newest.isoformat()})",
            where=source.path,
            fix="name another moment with --at",
            exit_code=ExitCode.USAGE,
        )
    clone = Instance(source.project, source.region, f"{source.name[:60]}{MARK}{began:%Y%m%d%H%M%S}")
    outcome = Outcome(reasons=[_orphan(source.project, one) for one in orphans(admin, source)])
    begin = time.monotonic()
    try:
        with stages.stage("clone", clone.name):
            instance = _cloned(admin, source, clone, moment, patience)
        with stages.stage("compare", f"{name} at {moment.isoformat()}"), reach(instance) as server:
            outcome.result = _compared(server, store, manifest, name, begin)
        outcome.version = str(instance.get("databaseVersion", ""))
    except PereneError as failed:
        outcome.reasons += [str(problem.what) + (f": {problem.why}" if problem.why else "") for problem in failed.problems]
    finally:
        outcome.seconds = time.monotonic() - begin
        with stages.stage("delete", clone.name):
            left = _deleted(admin, clone, patience)
        outcome.reasons += [left] if left else []
    rpo, goals = max(0.0, (began - newest).total_seconds()), store.goals
    reasons = [*outcome.reasons, *_missed(name, outcome, rpo=rpo, rpo_goal=goals.rpo, rto_goal=goals.rto)]
    record = DrillRecord(
        stack=tier.stack,
        environment=tier.environment,
        source="pitr",
        set=manifest.id,
        started=began.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict="failed" if reasons else "passed",
        reasons=tuple(reasons),
        stores={name: outcome.result} if outcome.result else {},
        key_opened=None,
        damage=None,
        rpo_seconds=round(rpo, 1),
        rpo_goal_seconds=Duration.parse(goals.rpo).seconds,
        rto_seconds=round(outcome.seconds, 1),
        rto_goal_seconds=Duration.parse(goals.rto).seconds,
        bytes=outcome.result.bytes if outcome.result else 0,
        versions={"perene": VERSION, "postgres": outcome.version},
    )
    return drills.signed(record, signing_key)


def by_token(login: Login, session: Any) -> Reach:
    """Straight to the clone's private address, as an IAM user whose password is a token. session: one that acts as that user."""

    @contextmanager
    def reach(instance: Mapping[str, Any]) -> Iterator[Server]:
        addresses = [one["ipAddress"] for one in instance.get("ipAddresses", ()) if one.get("type") == "PRIVATE"]
        if not addresses:
            raise PereneError("the clone has no private address", where=str(instance.get("name")), exit_code=ExitCode.CANNOT_TELL)
        session.credentials.refresh(Request())
        with tempfile.TemporaryDirectory(prefix="perene-") as folder:
            ca = Path(folder) / "ca.crt"
            ca.write_text(instance["serverCaCert"]["cert"], encoding="utf-8")
            # The certificate names the instance, not its address: the authority is the clone's own, which is what is verified.
            yield Server(host=addresses[0], port=5432, user=login.user, password=session.credentials.token, ca=ca, named=False)

    return reach


def orphans(admin: SqlAdmin, source: Instance) -> list[str]:
    """Clones of earlier drills of this instance that are still there."""
    found, page = [], ""
    while True:
        answer = admin.call("GET", f"projects/{source.project}/instances{page}")
        names = [str(one["name"]) for one in answer.get("items", [])]
        found += [name for name in names if name.startswith(f"{source.name[:60]}{MARK}")]
        if not answer.get("nextPageToken"):
            return sorted(found)
        page = f"?pageToken={answer['nextPageToken']}"


def _instance(store: Store, name: str) -> Instance:
    endpoint = store.endpoint
    if "pitr" not in store.backup.ways or not isinstance(endpoint, PostgresEndpoint) or endpoint.connection_name is None:
        raise PereneError("the store has no point-in-time recovery", where=name, fix="give it `pitr`", exit_code=ExitCode.CANNOT_TELL)
    return Instance.parse(endpoint.connection_name)


def _cloned(admin: SqlAdmin, source: Instance, clone: Instance, moment: datetime, patience: float) -> dict[str, Any]:
    """The clone, ready. Its protections are taken off at once: a clone inherits those of its source."""
    context = {"destinationInstanceName": clone.name, "pointInTime": moment.astimezone(UTC).isoformat().replace("+00:00", "Z")}
    begun = admin.call("POST", f"{source.path}/clone", {"cloneContext": context})
    admin.wait(begun, source.project, patience=patience)
    labels = admin.call("GET", clone.path).get("settings", {}).get("userLabels", {})
    opened = admin.call("PATCH", clone.path, {"settings": {**OWN_SETTINGS, "userLabels": {**labels, **LABEL}}})
    admin.wait(opened, source.project, patience=patience)
    instance = admin.call("GET", clone.path)
    if instance.get("state") != "RUNNABLE":
        raise PereneError(f"the clone is {instance.get('state')}, not RUNNABLE", where=clone.path)
    return instance


def _deleted(admin: SqlAdmin, clone: Instance, patience: float) -> str:
    """Delete the clone; why it is still there, empty when it is gone."""
    why = ""
    for _ in range(TRIES):
        try:
            present = admin.call("GET", clone.path)
            if present.get("settings", {}).get("deletionProtectionEnabled"):
                opened = admin.call("PATCH", clone.path, {"settings": {"deletionProtectionEnabled": False}})
                admin.wait(opened, clone.project, patience=patience)
            admin.wait(admin.call("DELETE", clone.path), clone.project, patience=patience)
        except PereneError as refused:
            why = refused.problems[0].what
            if "HTTP 404" in why:
                return ""
    return f"{_orphan(clone.project, clone.name)} ({why})"


def _orphan(project: str, name: str) -> str:
    return f"the clone {name} is still there, with the data in it: gcloud sql instances delete {name} --project={project}"


def _compared(server: Server, store: Store, manifest: RecoverySet, name: str, begin: float) -> StoreResult:
    content = manifest.stores[name].content
    if not isinstance(content, PostgresContent):
        raise PereneError("the set holds no PostgreSQL content", where=name, exit_code=ExitCode.CANNOT_TELL)
    differences: list[Difference] = []
    checks: list[CheckResult] = []
    cloned = time.monotonic() - begin
    for database in store.databases:
        with fingerprint.freeze(server, database) as frozen:
            found = fingerprint.fingerprint(frozen)
            roles = fingerprint.roles(frozen.connection)
        differences += compare.databases(database, content.databases[database], found)
        differences += compare.roles(content.roles, roles)
        checks += postgres.checked(server, database, store.checks, database)
    return StoreResult(
        differences=tuple(dict.fromkeys(one for one in differences if one.kind not in OF_A_MOMENT)),
        checks=tuple(checks),
        seconds={"clone": round(cloned, 3), "compare": round(time.monotonic() - begin - cloned, 3)},
        bytes=sum(part.bytes for part in manifest.stores[name].parts),
    )


def _missed(name: str, outcome: Outcome, *, rpo: float, rpo_goal: str, rto_goal: str) -> list[str]:
    result = outcome.result
    reasons = [f"{name}: {difference}" for difference in (result.differences if result else ())][:50]
    reasons += [
        f"{name}: {check.count} has {check.found} rows, at least {check.at_least} are wanted"
        for check in (result.checks if result else ())
        if check.found < check.at_least
    ]
    for what, measured, goal in (("recovery point", rpo, rpo_goal), ("recovery time", outcome.seconds, rto_goal)):
        if measured > Duration.parse(goal).seconds:
            reasons.append(f"{what} {measured:.0f} s misses the goal of {goal}")
    return reasons
