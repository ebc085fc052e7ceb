"""Catalogue of Google Cloud types around the data: alerts, channels, jobs, identities, rights and the way to the stores."""

from perene.safety.kinds import DESIGN, SERVICE, Effect, Kind, rows

DISRUPTIVE, WEAKENS = Effect.DISRUPTIVE, Effect.WEAKENS

ALERT_POLICY = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="nobody is told any more",
    way_out="replace an alert by declaring the new one first, in the same change with its reason",
    rules=rows(
        ("notificationChannels", "items lost", WEAKENS, "the alert reaches fewer people, or fires into the void"),
        ("enabled", "off", WEAKENS, "the alert is switched off"),
        ("conditions", "thresholds loosened", WEAKENS, "the alert fires later, on something else, or not at all"),
        ("conditions", "changed", DISRUPTIVE, "its condition changes"),
        ("combiner", "becomes AND", WEAKENS, "all conditions must hold before it fires"),
        ("combiner", "becomes AND_WITH_MATCHING_RESOURCE", WEAKENS, "all conditions must hold before it fires"),
        ("severity", "leaves CRITICAL", WEAKENS, "the alert pages less loudly"),
        ("alertStrategy", "changed", WEAKENS, "how often and how long the alert speaks changes"),
    ),
    harmless=("displayName", "documentation", "userLabels", "conditions", "severity", "notificationChannels", "enabled"),
)

CHANNEL = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="every alert on this channel loses it",
    way_out="add the new channel, move the alerts, then remove the old one",
    replaced_by=("project",),
    rules=rows(
        ("labels", "changed", WEAKENS, "alerts go to somebody else"),
        ("sensitiveLabels", "changed", WEAKENS, "alerts go to somebody else"),
        ("type", "changed", WEAKENS, "alerts go another way"),
        ("enabled", "off", WEAKENS, "the channel is switched off: its alerts are dropped silently"),
        ("forceDelete", "on", WEAKENS, "a delete takes the channel out of every alert that uses it"),
    ),
    harmless=("displayName", "description", "userLabels", "enabled", "forceDelete"),
)

METRIC = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="alerts on this metric fall silent",
    way_out="declare the new metric first and move the alerts",
    replaced_by=("name", "project"),
    rules=rows(("filter", "changed", WEAKENS, "the metric counts something else"), ("disabled", "on", WEAKENS, "the metric stops")),
    harmless=("description", "disabled"),
)

SCHEDULED_JOB = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="the scheduled backup or export stops",
    way_out="declare its successor first",
    replaced_by=("name", "project", "region"),
    rules=rows(
        ("schedule", "rarer", WEAKENS, "it runs more rarely, or never"),
        ("paused", "on", WEAKENS, "it is paused: nothing runs though the job looks enabled"),
        ("httpTarget", "changed", WEAKENS, "it calls something else"),
        ("pubsubTarget", "changed", WEAKENS, "it calls something else"),
        ("appEngineHttpTarget", "changed", WEAKENS, "it calls something else"),
    ),
    harmless=("schedule", "paused", "timeZone", "description", "attemptDeadline", "retryConfig"),
)

RIGHT = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="whoever had this right loses it: backups or readers may fail",
    way_out="add the new right first and remove the old one after a successful run",
    replaced_by=("role", "member", "members", "bucket", "secretId", "project", "condition"),
    rules=rows(
        ("role", "changed", WEAKENS, "the role changes"),
        ("member", "changed", WEAKENS, "somebody else gets the right"),
        ("members", "changed", WEAKENS, "the right goes to others"),
        ("condition", "changed", WEAKENS, "when the right applies changes"),
        ("policyData", "changed", WEAKENS, "the whole policy is replaced"),
    ),
)

IDENTITY = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="the identity is deleted: its jobs fail, and its bindings point to a deleted account",
    way_out="move jobs and bindings to the new identity first",
    replaced_by=("accountId", "project"),
    rules=rows(("disabled", "on", WEAKENS, "the identity is switched off: its jobs fail")),
    harmless=("displayName", "description", "disabled"),
)

WORKFLOW = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="what it does (an export) stops",
    way_out="declare its successor first",
    replaced_by=("region", "project", "name"),
    rules=rows(
        ("sourceContents", "changed", DISRUPTIVE, "the workflow does something else: read its text"),
        ("serviceAccount", "changed", WEAKENS, "the workflow runs as somebody else"),
        ("deletionProtection", "off", DISRUPTIVE, "the workflow can be deleted"),
    ),
    harmless=("description", "labels", "callLogLevel", "userEnvVars", "deletionProtection"),
    other=DISRUPTIVE,
)

NETWORK = Kind(
    data=False,
    gone=DISRUPTIVE,
    gone_reason="clients lose the way to the stores",
    way_out="build the new path first",
    source=SERVICE,
    rules=rows(("deletionPolicy", "changed", DISRUPTIVE, "what a later removal does changes")),
    harmless=("labels", "description"),
    other=DISRUPTIVE,
)

PROJECT_SETTING = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="a service or organisation rule goes away",
    other=WEAKENS,
    source=DESIGN,
    harmless=("disableOnDestroy",),
)

CATALOG: dict[str, Kind] = {
    "gcp:monitoring/alertPolicy:AlertPolicy": ALERT_POLICY,
    "gcp:monitoring/notificationChannel:NotificationChannel": CHANNEL,
    "gcp:logging/metric:Metric": METRIC,
    "gcp:cloudscheduler/job:Job": SCHEDULED_JOB,
    "gcp:workflows/workflow:Workflow": WORKFLOW,
    "gcp:serviceaccount/account:Account": IDENTITY,
    "gcp:servicenetworking/connection:Connection": NETWORK,
    "gcp:compute/globalAddress:GlobalAddress": NETWORK,
    "gcp:compute/network:Network": NETWORK,
    "gcp:compute/subnetwork:Subnetwork": NETWORK,
    "gcp:projects/service:Service": PROJECT_SETTING,
}
