"""Catalogue of Kubernetes types, and of values that a program makes up (random) or only groups (components, providers)."""

from perene.safety.kinds import DESIGN, SERVICE, SOURCE, Effect, Kind, rows

SAFE, DISRUPTIVE, WEAKENS, LOSES = Effect.SAFE, Effect.DISRUPTIVE, Effect.WEAKENS, Effect.LOSES_DATA
_IDENTITY = ("metadata.name", "metadata.namespace", "kind", "apiVersion")
_HARMLESS = ("metadata.labels", "metadata.annotations", "metadata.uid", "metadata.resourceVersion", "metadata.managedFields", "status")

CLAIM = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the volume claim is deleted, and with reclaim policy Delete the disk too",
    way_out="keep the claim; adopt a volume under a new name by import or alias, or restore into a new generation",
    source=SOURCE,
    replaced_by=(*_IDENTITY, "spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName", "spec.volumeMode"),
    rules=rows(
        ("spec.resources.requests.storage", "lowered", WEAKENS, "a volume never shrinks: the API refuses"),
        ("metadata.finalizers", "items lost", WEAKENS, "the claim can go while a pod uses it"),
        source=SERVICE,
    ),
    harmless=(*_HARMLESS, "spec.resources"),
)

VOLUME = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the volume object is deleted, and with reclaim policy Delete the disk too",
    way_out="set the reclaim policy to Retain in a change of its own first",
    source=SOURCE,
    replaced_by=_IDENTITY,
    rules=rows(
        ("spec.persistentVolumeReclaimPolicy", "leaves Retain", WEAKENS, "the disk goes with its claim"),
        ("spec.claimRef", "changed", LOSES, "the disk is bound to another claim, or free for anyone"),
        source=SERVICE,
    ),
    harmless=(*_HARMLESS, "spec.persistentVolumeReclaimPolicy", "spec.capacity"),
)

STATEFUL_SET = Kind(
    data=True,
    gone=WEAKENS,
    gone_reason="the store stops and stays down; its volumes stay only because the claims are retained",
    way_out="keep the name, or adopt it under the new one by alias",
    source=SOURCE,
    replaced_by=(
        *_IDENTITY,
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    rules=rows(
        ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "leaves Retain", WEAKENS, "deleting the set would delete its volumes"),
        ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", "leaves Retain", WEAKENS, "scaling down would delete volumes"),
        ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "becomes Delete", WEAKENS, "deleting the set would delete its volumes"),
        ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", "becomes Delete", WEAKENS, "scaling down would delete volumes"),
        ("spec.template.spec.volumes", "claims changed", LOSES, "the store starts on another volume, so without its data"),
        ("spec.volumeClaimTemplates", "changed", LOSES, "the set is replaced and adopts volumes by another template"),
        ("spec.replicas", "lowered", DISRUPTIVE, "fewer copies run; with 0 the store stops"),
        ("spec.replicas", "changed", DISRUPTIVE, "the number of copies changes"),
        ("spec.template", "changed", DISRUPTIVE, "the pods restart"),
        ("spec.serviceName", "changed", LOSES, "the pods get other names: stores that keep their node's name lose sight of their data"),
        ("spec.updateStrategy", "changed", DISRUPTIVE, "how pods restart changes"),
        source=SOURCE,
    ),
    harmless=(
        *_HARMLESS,
        "spec.minReadySeconds",
        "spec.persistentVolumeClaimRetentionPolicy",
        "spec.template.metadata.annotations",
        "spec.revisionHistoryLimit",
    ),
)

NAMESPACE = Kind(
    data=True,
    gone=LOSES,
    gone_reason="everything inside the namespace is deleted with it, volume claims and secrets included",
    way_out="keep it; move single resources out first",
    source=SERVICE,
    replaced_by=("metadata.name", "kind", "apiVersion"),
    rules=rows(("metadata.finalizers", "items lost", WEAKENS, "the namespace goes without waiting"), source=SERVICE),
    harmless=_HARMLESS,
)

SECRET = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the only copy of a password or key may go: what was encrypted with it is unreadable",
    way_out="keep it; perene secrets makes a value once and escrows it",
    source=SOURCE,
    replaced_by=(*_IDENTITY, "type"),
    rules=rows(
        ("data", "changed", LOSES, "a value is replaced and the old one is gone (values are masked, nobody can compare)"),
        ("stringData", "changed", LOSES, "a value is replaced and the old one is gone (values are masked, nobody can compare)"),
        ("immutable", "off", WEAKENS, "the value can be changed"),
        source=SOURCE,
    ),
    harmless=(*_HARMLESS, "immutable"),
)

STORAGE_CLASS = Kind(
    data=True,
    gone=WEAKENS,
    gone_reason="new volumes cannot be made and existing ones not grown; existing data stays",
    way_out="declare a second class beside it",
    source=SOURCE,
    replaced_by=("metadata.name", "parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
    rules=rows(
        ("reclaimPolicy", "leaves Retain", WEAKENS, "new volumes go with their claim"),
        ("allowVolumeExpansion", "off", WEAKENS, "volumes can no longer grow: a full disk stops the store"),
        source=SERVICE,
    ),
    harmless=(*_HARMLESS, "allowVolumeExpansion", "mountOptions"),
)

CRON_JOB = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="the scheduled backup, drill or probe stops",
    way_out="declare its successor first",
    source=DESIGN,
    replaced_by=_IDENTITY,
    rules=rows(
        ("spec.schedule", "rarer", WEAKENS, "it runs more rarely, or never"),
        ("spec.suspend", "on", WEAKENS, "it is suspended: nothing runs"),
        ("spec.concurrencyPolicy", "becomes Replace", WEAKENS, "a running backup is killed by the next one"),
        ("spec.startingDeadlineSeconds", "lowered", WEAKENS, "a late start is skipped sooner"),
        ("spec.jobTemplate", "changed", DISRUPTIVE, "the next run does something else: read its arguments"),
        source=SERVICE,
    ),
    harmless=(
        *_HARMLESS,
        "spec.schedule",
        "spec.suspend",
        "spec.timeZone",
        "spec.startingDeadlineSeconds",
        "spec.concurrencyPolicy",
        "spec.successfulJobsHistoryLimit",
        "spec.failedJobsHistoryLimit",
    ),
)

CONFIG_MAP = Kind(
    data=False,
    gone=DISRUPTIVE,
    gone_reason="pods that read it fail at their next start",
    way_out="move its readers first",
    source=SOURCE,
    replaced_by=(*_IDENTITY, "data", "binaryData"),
    rules=rows(
        ("data", "files numbed", WEAKENS, "an alert in it is gone, or fires on something else"),
        ("data", "changed", DISRUPTIVE, "its readers behave differently: read the text"),
        ("binaryData", "changed", DISRUPTIVE, "its readers behave differently"),
        source=SOURCE,
    ),
    harmless=(*_HARMLESS, "immutable"),
    other=DISRUPTIVE,
)

ALERT_RULES = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="its alerts are gone: nobody is told",
    way_out="declare the new alerts first",
    source=DESIGN,
    replaced_by=_IDENTITY,
    rules=rows(
        ("spec.groups", "alerts numbed", WEAKENS, "an alert is gone, or fires on something else"),
        ("metadata.labels", "changed", WEAKENS, "Prometheus may no longer select these rules, silently"),
        source=DESIGN,
    ),
    harmless=(*_HARMLESS, "spec.groups"),
)

ACCESS = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="whoever had this right loses it, or a network guard opens",
    way_out="add the new right or guard first",
    source=SERVICE,
    replaced_by=(*_IDENTITY, "roleRef"),
    rules=rows(
        ("rules", "changed", WEAKENS, "what the role may do changes"),
        ("subjects", "changed", WEAKENS, "somebody else gets the role"),
        ("roleRef", "changed", WEAKENS, "another role is granted"),
        ("spec", "changed", WEAKENS, "who may reach the stores changes"),
        source=SERVICE,
    ),
    harmless=_HARMLESS,
)

RUNS = Kind(
    data=False,
    gone=DISRUPTIVE,
    gone_reason="what it runs or routes stops",
    way_out="declare its successor first",
    source=SERVICE,
    harmless=_HARMLESS,
    other=DISRUPTIVE,
)

COLLECTION = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="nobody collects the figures any more: what is wrong is not seen, and silence looks like health",
    way_out="declare its successor first",
    source=SERVICE,
    rules=rows(("spec", "changed", WEAKENS, "other pods are collected, or more rarely"), source=SERVICE),
    harmless=_HARMLESS,
)

BUDGET = Kind(
    data=False,
    gone=WEAKENS,
    gone_reason="a drain may stop every copy at once",
    way_out="keep it declared",
    source=SERVICE,
    rules=rows(("spec", "changed", WEAKENS, "how many copies may stop at once changes"), source=SERVICE),
    harmless=_HARMLESS,
)

RANDOM = Kind(
    data=True,
    gone=LOSES,
    gone_reason="the value is generated anew: what was encrypted or locked with it is unreadable",
    way_out="keep it; make values once outside the program (perene secrets init)",
    source=SOURCE,
    replaced_by=("length", "keepers", "special", "upper", "lower", "numeric", "overrideSpecial", "byteLength", "minLower", "minUpper"),
)

GROUP = Kind(
    data=False, gone=SAFE, gone_reason="a component is a name for its children; theirs are judged by themselves", source=SOURCE, other=SAFE
)

PROVIDER = Kind(
    data=False,
    gone=DISRUPTIVE,
    gone_reason="the provider is configured anew; resources that hang on it are judged by themselves",
    way_out="keep cluster_identifier (Kubernetes) and explicit projects and regions",
    rules=rows(
        ("version", "changed", DISRUPTIVE, "another version of the provider judges every property"),
        ("deleteUnreachable", "on", WEAKENS, "resources of a cluster that does not answer are dropped from the state"),
        ("upsertExistingObjects", "on", WEAKENS, "objects of the same name are adopted silently"),
        ("deletionPolicy", "changed", WEAKENS, "what a removal does changes for every resource"),
    ),
    other=DISRUPTIVE,
)

CATALOG: dict[str, Kind] = {
    "kubernetes:core/v1:PersistentVolumeClaim": CLAIM,
    "kubernetes:core/v1:PersistentVolume": VOLUME,
    "kubernetes:apps/v1:StatefulSet": STATEFUL_SET,
    "kubernetes:core/v1:Namespace": NAMESPACE,
    "kubernetes:core/v1:Secret": SECRET,
    "kubernetes:storage.k8s.io/v1:StorageClass": STORAGE_CLASS,
    "kubernetes:batch/v1:CronJob": CRON_JOB,
    "kubernetes:core/v1:ConfigMap": CONFIG_MAP,
    "kubernetes:monitoring.coreos.com/v1:PrometheusRule": ALERT_RULES,
    "kubernetes:monitoring.coreos.com/v1:PodMonitor": COLLECTION,
    "kubernetes:monitoring.googleapis.com/v1:PodMonitoring": COLLECTION,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": ACCESS,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": ACCESS,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": ACCESS,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": ACCESS,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": ACCESS,
    "kubernetes:core/v1:ServiceAccount": ACCESS,
    "kubernetes:policy/v1:PodDisruptionBudget": BUDGET,
    "kubernetes:core/v1:Service": RUNS,
    "kubernetes:core/v1:Pod": RUNS,
    "kubernetes:apps/v1:Deployment": RUNS,
    "kubernetes:batch/v1:Job": RUNS,
    "kubernetes:scheduling.k8s.io/v1:PriorityClass": RUNS,
    "kubernetes:core/v1:ResourceQuota": RUNS,
    "kubernetes:core/v1:LimitRange": RUNS,
    "random:index/randomPassword:RandomPassword": RANDOM,
    "random:index/randomBytes:RandomBytes": RANDOM,
    "random:index/randomId:RandomId": RANDOM,
    "random:index/randomString:RandomString": RANDOM,
    "random:index/randomUuid:RandomUuid": RANDOM,
    "random:index/randomPet:RandomPet": RANDOM,
}
