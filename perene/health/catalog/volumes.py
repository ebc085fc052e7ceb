"""Signals on the volumes of the stores in the cluster (names of the kubelet and of kube-state-metrics)."""

from perene.health.catalog.types import Example, Proof, Signal

IN_CLUSTER = ("postgres", "redis", "qdrant", "rabbitmq", "files")
_AVAILABLE = "kubelet_volume_stats_available_bytes{$claim}"
_CAPACITY = "kubelet_volume_stats_capacity_bytes{$claim}"
_USED = f"1 - max({_AVAILABLE}) / max({_CAPACITY}) > $threshold"
_GROW = "grow it now: perene local grow (own cluster) or a larger volume.size in the configuration, then pulumi up"

VOLUMES = (
    Signal(
        name="volume-nearly-full",
        severity="warning",
        kinds=IN_CLUSTER,
        setting="disk-warning",
        expression=_USED,
        threshold=0.8,
        hold=10,
        summary="the volume of $store in $stack is over $limit full",
        meaning="Nothing is lost yet. A store whose volume is full stops accepting writes, and a database may refuse to start.",
        first=(
            "perene health $stack: how many days until it is full, and did it jump or creep?",
            "look for what grew: tables, old WAL, dumps or logs that do not belong there",
            _GROW,
        ),
        then="Never make room by deleting files inside a data directory. Old WAL that stays means a stuck replication slot or archiver.",
        proof=Proof(series=(_AVAILABLE, _CAPACITY), over=("1900", "10000"), below=("2010", "10000"), silence_is="volume-unwatched"),
    ),
    Signal(
        name="volume-full",
        severity="critical",
        kinds=IN_CLUSTER,
        setting="disk",
        expression=_USED,
        threshold=0.95,
        hold=2,
        summary="the volume of $store in $stack is over $limit full",
        meaning="Writes are about to fail. Committed data is safe as long as nobody deletes files by hand.",
        first=(
            _GROW,
            "stop what writes most (imports, batch jobs), so that there is time to grow",
            "perene health $stack: is there a recent set, should the worst happen?",
        ),
        then="After growing, the database recovers by itself: it replays its WAL at start. Wait; do not reset the WAL.",
        proof=Proof(series=(_AVAILABLE, _CAPACITY), over=("490", "10000"), below=("510", "10000"), silence_is="volume-unwatched"),
    ),
    Signal(
        name="volume-full-soon",
        severity="warning",
        kinds=IN_CLUSTER,
        expression=f"max(predict_linear({_AVAILABLE}[6h], $threshold)) < 0",
        threshold=86400,
        hold=30,
        summary="the volume of $store in $stack will be full within 24 hours if it goes on like this",
        meaning="Nothing is lost yet. At the pace of the last six hours the store stops accepting writes within a day.",
        first=(
            "perene health $stack: days until full, and what changed six hours ago",
            "find the writer: a runaway job, a stuck archiver, a log level left on debug",
            _GROW,
        ),
        then="A one-off import sets this off too: it clears by itself once the growth ends and six hours have passed.",
        proof=Proof(
            series=(_AVAILABLE,),
            over=("14400-10",),
            below=("15710-10",),
            good=("50000",),
            lag=1,
            clear=0,
            horizon=130,
            silence_is="volume-unwatched",
            more=(
                Example(
                    title="growth that ended is forgotten after six hours",
                    series=((_AVAILABLE, "1000000-15000x60 100000"),),
                    fires=31,
                    clears=407,
                ),
            ),
        ),
    ),
    Signal(
        name="volume-out-of-inodes",
        severity="warning",
        kinds=IN_CLUSTER,
        expression="1 - max(kubelet_volume_stats_inodes_free{$claim}) / max(kubelet_volume_stats_inodes{$claim}) > $threshold",
        threshold=0.9,
        hold=10,
        summary="the volume of $store in $stack has few inodes left",
        meaning="A volume without inodes is full although bytes are free: new files, so new segments and tables, fail.",
        first=(
            "count files: find /the/mount -xdev -type f | cut -d/ -f1-5 | sort | uniq -c | sort -n | tail",
            "remove only what the application itself calls temporary",
            _GROW,
        ),
        then="Media stores with millions of small files need a file system made with more inodes: a new generation of the store.",
        proof=Proof(
            series=("kubelet_volume_stats_inodes_free{$claim}", "kubelet_volume_stats_inodes{$claim}"),
            over=("990", "10000"),
            below=("1010", "10000"),
            silence_is="volume-unwatched",
        ),
    ),
    Signal(
        name="volume-unwatched",
        severity="critical",
        kinds=IN_CLUSTER,
        expression=f"max(absent({_CAPACITY}))",
        threshold=1,
        hold=15,
        summary="nobody measures the volume of $store in $stack",
        meaning="The figures exist only while a pod mounts the volume: no pod does, or the measuring stopped. A full disk goes unseen.",
        first=(
            "perene health $stack --lost: does the claim exist, is it bound, does a pod mount it and where?",
            "kubectl describe pod of the store: does it wait for its volume?",
            "perene alerts check $stack: does the exporter reach the kubelet?",
        ),
        then="If the claim is gone but the PersistentVolume is Released, the data is there: clear its claimRef and bind it again.",
        proof=Proof(series=(_CAPACITY,), over=("_",), below=("10000",), missing=15),
    ),
    Signal(
        name="volume-lost",
        severity="critical",
        kinds=IN_CLUSTER,
        expression='max(kube_persistentvolumeclaim_status_phase{$claim,phase="Lost"}) > $threshold',
        threshold=0,
        hold=1,
        summary="the volume claim of $store in $stack has lost its volume",
        meaning="The claim points to a PersistentVolume that no longer exists. The data may still be on the disk behind it.",
        first=(
            "perene health $stack --lost: what is left of the volume",
            "kubectl get pv -o wide: is a Released volume with the old data there? Keep it (reclaim policy Retain)",
            "perene restore newest --store $store: into a new place, then compare",
        ),
        then="Do not delete the claim before the data is found or restored and compared.",
        proof=Proof(
            series=('kube_persistentvolumeclaim_status_phase{$claim,phase="Lost"}',),
            over=("1",),
            below=("0",),
            silence_is="volume-unwatched",
        ),
    ),
)
