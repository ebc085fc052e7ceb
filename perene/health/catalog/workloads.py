"""Signals on pods and jobs, under kube-state-metrics' names whoever exports them."""

from perene.health.catalog.types import Example, Proof, Signal
from perene.health.catalog.volumes import IN_CLUSTER

_READY = 'kube_statefulset_status_replicas_ready{namespace="$namespace",statefulset="$workload"}'
_CONTAINER = '$pods,container="$container"'
_LIMIT = f"kube_pod_container_resource_limits{{{_CONTAINER},resource="
_REQUEST = f"kube_pod_container_resource_requests{{{_CONTAINER},resource="
_BACKUP = 'namespace="$namespace",cronjob="$backup_cronjob"'
_JOBS = 'namespace="$namespace",job_name=~"($jobs)-.*"'
_JOB = 'namespace="$namespace",job_name="$backup_cronjob-1"'


def _pod(metric: str, more: str = "") -> str:
    return f'{metric}{{namespace="$namespace",pod="$workload-0",container="$container"{more}}}'


WORKLOADS = (
    Signal(
        name="store-down",
        severity="critical",
        kinds=IN_CLUSTER,
        expression=f"max({_READY}) < $threshold or max(absent({_READY}))",
        threshold=1,
        hold=3,
        summary="$store in $stack has no ready pod",
        meaning="The store answers nobody. What was committed is on its volume; nothing is lost by the outage itself.",
        first=(
            "perene health $stack: which store, and is its volume mounted?",
            "kubectl describe pod and kubectl logs --previous: the first error, not the last",
            "do not delete volumes, claims or data directories to make it start",
        ),
        then="A pod that crash-loops is not repaired by applying again: delete the pod (never the claim) once the cause is mended.",
        proof=Proof(series=(_READY,), over=("0.98",), below=("1",), missing=3),
    ),
    Signal(
        name="pod-restarting",
        severity="warning",
        kinds=IN_CLUSTER,
        expression="max(increase(kube_pod_container_status_restarts_total{$pods}[30m])) > $threshold",
        threshold=2,
        hold=1,
        summary="the pod of $store in $stack restarts again and again",
        meaning="Each restart is an outage and a crash recovery. Committed data survives it.",
        first=(
            "kubectl logs --previous: why did it end? OOMKilled means its memory limit",
            "kubectl describe pod: do probes fail while it only recovers?",
            "perene health $stack: space left, connections, volume",
        ),
        then="Raise the memory limit or mend the probe; a database in crash recovery needs time, not another restart.",
        proof=Proof(
            series=(_pod("kube_pod_container_status_restarts_total"),),
            over=("0+0.068",),
            below=("0+0.0655",),
            good=("10",),
            lag=30,
            clear=30,
            silence_is="store-down",
        ),
    ),
    Signal(
        name="memory-high",
        severity="warning",
        kinds=IN_CLUSTER,
        expression=f'max(container_memory_working_set_bytes{{{_CONTAINER}}}) / max({_LIMIT}"memory"}}) > $threshold',
        threshold=0.9,
        hold=10,
        summary="$store in $stack uses over 90 % of its memory limit",
        meaning="The kernel will kill it at the limit: an outage and a crash recovery, no loss of committed data.",
        first=(
            "perene health $stack: connections and the slowest query",
            "is it one query (work_mem, a large sort) or the whole load?",
            "raise the limit in the configuration; it restarts the pod",
        ),
        then="For Redis: with maxmemory above the limit minus the fork's need, a snapshot can kill it. Lower maxmemory or raise the limit.",
        proof=Proof(
            series=(
                _pod("container_memory_working_set_bytes"),
                _pod("kube_pod_container_resource_limits", ',resource="memory"'),
            ),
            over=("910", "1000"),
            below=("890", "1000"),
            silence_is="store-down",
        ),
    ),
    Signal(
        name="cpu-high",
        severity="warning",
        kinds=IN_CLUSTER,
        expression=f'max(rate(container_cpu_usage_seconds_total{{{_CONTAINER}}}[5m])) / max({_REQUEST}"cpu"}}) > $threshold',
        threshold=2,
        hold=15,
        summary="$store in $stack has used over twice the CPU it asks for, for 15 minutes",
        meaning="Data is safe. It lives on borrowed CPU: when its neighbours want theirs it answers late, and backups take longer.",
        first=(
            "which query: select pid, query_start, left(query, 80) from pg_stat_activity where state = 'active' order by 2",
            "is a backup or a migration running beside the load?",
            "raise the request in the configuration, or move the job",
        ),
        then="A missing index shows as one query in many sessions.",
        proof=Proof(
            series=(_pod("container_cpu_usage_seconds_total"), _pod("kube_pod_container_resource_requests", ',resource="cpu"')),
            over=("0+121.2", "1"),
            below=("0+118.8", "1"),
            good=("4728", "1"),
            lag=5,
            clear=1,
            silence_is="store-down",
        ),
    ),
    Signal(
        name="backup-failed",
        severity="critical",
        kinds=("tier",),
        expression=f"""
            max(kube_cronjob_status_last_schedule_time{{{_BACKUP}}})
              > (max(kube_cronjob_status_last_successful_time{{{_BACKUP}}}) or vector(0))
            and max(kube_cronjob_status_active{{{_BACKUP}}}) == $threshold""",
        threshold=0,
        hold=1,
        summary="the last backup of $stack failed",
        meaning="Older sets are untouched. Every hour without a new set is an hour of data with one way back less.",
        first=(
            "kubectl logs of the newest backup job: the failed store and the reason stand in its last lines",
            "perene backup: make a set now, by hand",
            "perene health $stack: repository readable, space left, key in place?",
        ),
        then="Retention removes nothing while backups fail. The page clears with the next successful run.",
        proof=Proof(
            series=(
                f"kube_cronjob_status_last_schedule_time{{{_BACKUP}}}",
                f"kube_cronjob_status_last_successful_time{{{_BACKUP}}}",
                f"kube_cronjob_status_active{{{_BACKUP}}}",
            ),
            over=("1001", "1000", "0"),
            below=("1000", "1000", "0"),
            silence_is="backup-job-stopped",
            more=(
                Example(
                    title="a run that is still working is not a failure",
                    series=(
                        (f"kube_cronjob_status_last_schedule_time{{{_BACKUP}}}", "2000"),
                        (f"kube_cronjob_status_last_successful_time{{{_BACKUP}}}", "1000"),
                        (f"kube_cronjob_status_active{{{_BACKUP}}}", "1"),
                    ),
                    fires=None,
                ),
                Example(
                    title="the very first run failed: there is no success to compare with",
                    series=(
                        (f"kube_cronjob_status_last_schedule_time{{{_BACKUP}}}", "0.01"),
                        (f"kube_cronjob_status_active{{{_BACKUP}}}", "0"),
                    ),
                    fires=1,
                ),
                Example(
                    title="right after creation, before the first schedule",
                    series=((f"kube_cronjob_status_active{{{_BACKUP}}}", "0"),),
                    fires=None,
                ),
            ),
        ),
    ),
    Signal(
        name="backup-job-stopped",
        severity="critical",
        kinds=("tier",),
        expression=f"max(kube_cronjob_spec_suspend{{{_BACKUP}}}) > $threshold or max(absent(kube_cronjob_spec_suspend{{{_BACKUP}}}))",
        threshold=0,
        hold=10,
        summary="the backup job of $stack is suspended or gone",
        meaning="No new recovery set will be made. Existing ones stay.",
        first=(
            "kubectl get cronjob: who suspended it, and why (perene audit show REPOSITORY)?",
            'kubectl patch cronjob NAME -p \'{"spec":{"suspend":false}}\', or pulumi up when it is gone',
            "perene backup: make the set that was missed",
        ),
        then="A restore in place suspends jobs for its time; it resumes them in its last step. If it was interrupted, run it again.",
        proof=Proof(series=(f"kube_cronjob_spec_suspend{{{_BACKUP}}}",), over=("1",), below=("0",), missing=10),
    ),
    Signal(
        name="job-stuck",
        severity="warning",
        kinds=("tier",),
        expression=f"""
            max((time() - kube_job_status_start_time{{{_JOBS}}})
              and on (namespace, job_name) (kube_job_status_active > 0)) > $threshold""",
        threshold=21600,
        hold=5,
        summary="a job of $stack has been running for over six hours",
        meaning="A hung backup or drill blocks the next one. Sets that are finished are safe; the hung one does not exist yet.",
        first=(
            "kubectl logs -f of the job: does it still make progress (bytes, rate)?",
            "does the database hold it up: a lock, a full repository, a network that drops packets?",
            "kubectl delete job: a set without a manifest does not exist, nothing can be torn",
        ),
        then="If it is only slow, run the logical set weekly (design of large databases) and give the job a longer deadline.",
        proof=Proof(
            series=(f"kube_job_status_start_time{{{_JOB}}}", f"kube_job_status_active{{{_JOB}}}"),
            over=("-21000", "1"),
            below=("-18000", "1"),
            good=("-18000", "0"),
            lag=11,
            silence_is="exporter-silent",
            more=(
                Example(
                    title="the jobs of others",
                    series=(
                        ('kube_job_status_start_time{namespace="elsewhere",job_name="$backup_cronjob-1"}', "-90000"),
                        ('kube_job_status_active{namespace="elsewhere",job_name="$backup_cronjob-1"}', "1"),
                        ('kube_job_status_start_time{namespace="$namespace",job_name="report-1"}', "-90000"),
                        ('kube_job_status_active{namespace="$namespace",job_name="report-1"}', "1"),
                    ),
                    fires=None,
                ),
                Example(
                    title="a job that ended long ago",
                    series=((f"kube_job_status_start_time{{{_JOB}}}", "-90000"), (f"kube_job_status_active{{{_JOB}}}", "0")),
                    fires=None,
                ),
            ),
        ),
    ),
)
