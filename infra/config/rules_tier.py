"""Rules about the tier as a whole: environment, cluster, clouds, guards, alerts."""

from collections.abc import Iterator

from infra.config.model import GcpKey, Tier
from infra.config.places import AWS_REGIONS, GCP_REGIONS
from perene.errors import Problem


def local_clusters_are_for_dev(tier: Tier) -> Iterator[Problem]:
    if tier.cluster.kind == "local" and tier.environment != "dev":
        yield Problem(
            what=f"a local cluster cannot carry {tier.environment}",
            where="cluster.kind",
            why="a tier that people depend on would live on somebody's computer",
            fix="name the cluster's kubeconfig context with kind gke or kubernetes",
        )


def other_clusters_name_their_images(tier: Tier) -> Iterator[Problem]:
    if tier.cluster.kind != "local" and tier.images is None:
        yield Problem(
            what="images are missing",
            where="images",
            why="a cluster pulls from a registry, and a tag can change under you: images are named by digest",
            fix="build images/ with the Containerfile, push, and write `images: {postgres: ...@sha256:..., ops: ...@sha256:...}`",
        )
    if tier.cluster.kind == "local" and tier.images is not None:
        yield Problem(
            what="a local cluster takes no images from here",
            where="images",
            why="perene loads them into the cluster itself, always of the family that the data was made with",
            fix="remove images",
        )


def guarded_tiers_have_backups_and_alerts(tier: Tier) -> Iterator[Problem]:
    if not tier.guarded:
        return
    for part, value in (("backups", tier.backups), ("alerts", tier.alerts), ("encryptionKey", tier.encryption_key)):
        if value is None:
            yield Problem(
                what=f"{part} is missing",
                where=part,
                why=f"{tier.environment} holds data that people trust; what has no backup, alert or key is lost one day",
                fix=f"add {part} (docs/configuration.md)",
            )


def dev_guard_is_for_dev(tier: Tier) -> Iterator[Problem]:
    if tier.guards.dev_guarded and tier.environment != "dev":
        yield Problem(
            what=f"{tier.environment} is always guarded",
            where="guards.devGuarded",
            why="a switch that does nothing misleads",
            fix="remove devGuarded",
        )


def openings_name_what_exists(tier: Tier) -> Iterator[Problem]:
    known = {*tier.stores, "key", "repository", "sealed-copy"}
    for index, opening in enumerate(tier.guards.opened):
        if opening.resource not in known:
            yield Problem(
                what=f"opens {opening.resource}, which does not exist",
                where=f"guards.opened.{index}.resource",
                why="the guard that was meant stays shut, or a later store inherits the opening",
                fix=f"name one of {', '.join(sorted(known))}",
            )
        if not tier.guarded:
            yield Problem(
                what="opens a guard of a tier that has none",
                where=f"guards.opened.{index}",
                why="an opening that does nothing misleads",
                fix="remove it",
            )


def no_store_takes_a_reserved_name(tier: Tier) -> Iterator[Problem]:
    for name in {"key", "repository", "perene", "backups", "alerts"} & set(tier.stores):
        yield Problem(what="is a name that perene keeps for itself", where=f"stores.{name}", fix="choose another name")


def nobody_is_told_to_collect_twice(tier: Tier) -> Iterator[Problem]:
    if tier.cluster.kind == "gke" and tier.alerts and tier.alerts.operator is not None:
        yield Problem(
            what="is for a cluster without Google's own collection",
            where="alerts.operator",
            why="in gke the alerts are Cloud Monitoring's, and are fed by what Google collects",
            fix="remove it",
        )


def clouds_are_there_for_what_uses_them(tier: Tier) -> Iterator[Problem]:
    wants: dict[str, list[str]] = {"gcp": [], "aws": []}
    wants["gcp"] += [f"stores.{name}" for name, store in tier.stores.items() if store.kind == "cloud-sql"]
    if tier.backups:
        wants["gcp"] += ["backups.repository"] if tier.backups.repository.kind == "gcs" else []
        wants["aws"] += ["backups.repository"] if tier.backups.repository.kind == "s3" else []
        sealed = tier.backups.sealed_copy
        wants["aws"] += ["backups.sealedCopy"] if sealed and sealed.kind == "s3" else []
        wants["gcp"] += ["backups.sealedCopy"] if sealed and sealed.kind == "gcs" else []
    if tier.encryption_key:
        wants["gcp"] += ["encryptionKey"] if tier.encryption_key.kind == "gcp-secret-manager" else []
        wants["aws"] += ["encryptionKey"] if tier.encryption_key.kind == "aws-secrets-manager" else []
    for cloud, users in wants.items():
        declared = getattr(tier.clouds, cloud) is not None
        if users and not declared:
            yield Problem(
                what=f"is missing, but {', '.join(users)} needs it",
                where=f"clouds.{cloud}",
                why="there is no project, account or region to put it into",
                fix=f"add clouds.{cloud}",
            )
        if declared and not users:
            yield Problem(what="is used by nothing", where=f"clouds.{cloud}", why="a setting that does nothing misleads", fix="remove it")


def workload_pool_serves_cloud_sql(tier: Tier) -> Iterator[Problem]:
    cloud_sql = [name for name, store in tier.stores.items() if store.kind == "cloud-sql"]
    if cloud_sql and tier.cluster.kind != "gke":
        yield Problem(
            what=f"Cloud SQL ({', '.join(cloud_sql)}) needs a cluster with Workload Identity",
            where="cluster.kind",
            why="without it the proxy would need a key file, which can be copied and never expires",
            fix="use kind gke with its workloadPool",
        )


def cloud_sql_has_its_proxy(tier: Tier) -> Iterator[Problem]:
    cloud_sql = [name for name, store in tier.stores.items() if store.kind == "cloud-sql"]
    if cloud_sql and tier.images and tier.images.proxy is None:
        yield Problem(
            what=f"the proxy's image is missing, but {', '.join(cloud_sql)} is reached through it",
            where="images.proxy",
            why="the instances let nobody in but the proxy and the connectors",
            fix="mirror the Cloud SQL Auth Proxy into your registry and name it by digest",
        )


def prod_key_survives_a_region(tier: Tier) -> Iterator[Problem]:
    key = tier.encryption_key
    if key is None or tier.environment != "prod":
        return
    fewest = 2 if isinstance(key, GcpKey) else 1
    if key.kind != "kubernetes" and len(set(key.replicas)) < fewest:
        yield Problem(
            what=f"needs at least {fewest} different replicas in prod",
            where="encryptionKey.replicas",
            why="with the only region gone, the key is gone, and every encrypted byte with it",
            fix="name a second region",
        )


def guarded_key_lives_in_a_vault(tier: Tier) -> Iterator[Problem]:
    if tier.guarded and tier.encryption_key and tier.encryption_key.kind == "kubernetes" and tier.environment != "dev":
        yield Problem(
            what=f"a Kubernetes Secret is no vault for {tier.environment}",
            where="encryptionKey.kind",
            why="whoever can delete a namespace could delete the key",
            fix="use gcp-secret-manager or aws-secrets-manager",
        )


def earlier_keys_are_earlier(tier: Tier) -> Iterator[Problem]:
    key = tier.encryption_key
    if key is None:
        return
    for number in key.earlier:
        if not (number.isdecimal() and 0 < int(number) < key.generation):
            yield Problem(
                what=f"{number} is no generation before {key.generation}",
                where=f"encryptionKey.earlier.{number}",
                why="only keys that were made before can still be needed",
                fix="name earlier generations by their numbers, as text",
            )


def rebuilds_have_their_source(tier: Tier) -> Iterator[Problem]:
    for name, one in tier.rebuild.items():
        if one.kind != "rekognition":
            continue
        store, where = tier.stores.get(one.source.store), f"rebuild.{name}.source"
        if store is None or store.kind not in {"postgres", "cloud-sql"} or one.source.database not in store.databases:
            yield Problem(
                what=f"{one.source.store} is no PostgreSQL store of the tier with the database {one.source.database}",
                where=where,
                why="after a loss there would be nothing to make the collection from",
                fix="name a store and a database of it",
            )
        if tier.encryption_key is None:
            yield Problem(
                what="the photos are sealed, and the tier has no key",
                where=where,
                why="without it they could not be opened",
                fix="declare encryptionKey",
            )


def key_replicas_are_listed_once(tier: Tier) -> Iterator[Problem]:
    key = tier.encryption_key
    if key and key.kind != "kubernetes" and len(set(key.replicas)) != len(key.replicas):
        yield Problem(what="a region stands twice", where="encryptionKey.replicas", fix="list each region once")
    if key and key.kind == "aws-secrets-manager" and tier.clouds.aws and tier.clouds.aws.region in key.replicas:
        yield Problem(
            what=f"{tier.clouds.aws.region} holds the secret itself",
            where="encryptionKey.replicas",
            why="the service refuses a replica in the secret's own region",
            fix="name other regions",
        )


def aws_goes_with_a_cluster_of_its_own_identities(tier: Tier) -> Iterator[Problem]:
    if tier.clouds.aws and tier.cluster.kind == "gke":
        yield Problem(
            what="a GKE cluster's jobs have no identity in AWS",
            where="clouds.aws",
            why="a job has one Kubernetes service account, which acts as one cloud's identity; a key file would be the only other way",
            fix="keep backups and secrets of a GKE tier in Google Cloud (gcs, gcp-secret-manager)",
        )


def aws_names_belong_to_the_account(tier: Tier) -> Iterator[Problem]:
    aws = tier.clouds.aws
    sealed = tier.backups.sealed_copy if tier.backups else None
    named = (
        [("clouds.aws.oidcProvider", aws.oidc_provider, aws.account), ("clouds.aws.breakGlass", aws.break_glass, aws.account)]
        if aws
        else []
    )
    named += [("backups.sealedCopy.role", sealed.role, sealed.account)] if sealed and sealed.kind == "s3" else []
    for where, arn, account in named:
        if arn.split(":")[4] != account:
            yield Problem(
                what=f"belongs to another account than {account}",
                where=where,
                why="a role or provider of a foreign account would decide about this tier's backups",
                fix="name the one of this account",
            )


def places_lie_within_the_residency(tier: Tier) -> Iterator[Problem]:
    if tier.residency == "any":
        return
    for where, place, country in _places(tier):
        if country not in tier.residency:
            yield Problem(
                what=f"{place} lies in {country}, outside {', '.join(tier.residency)}",
                where=where,
                why="data and its copies must not leave the countries that the owner named; a multi-region lies in several",
                fix="choose a place inside, or change residency with the owner's consent",
            )


def _places(tier: Tier) -> Iterator[tuple[str, str, str]]:
    """Every place where a byte may come to lie: path, place, country."""
    gcp, aws = ({**GCP_REGIONS, "us": "US", "eu": "several countries", "asia": "several countries"}, AWS_REGIONS)
    if tier.clouds.gcp:
        yield "clouds.gcp.region", tier.clouds.gcp.region, gcp[tier.clouds.gcp.region]
    if tier.clouds.aws:
        yield "clouds.aws.region", tier.clouds.aws.region, aws[tier.clouds.aws.region]
    for name, store in tier.stores.items():
        if store.kind == "cloud-sql":
            yield f"stores.{name}.backups.location", store.backups.location, gcp[store.backups.location]
            if store.replica:
                yield f"stores.{name}.replica.region", store.replica.region, gcp[store.replica.region]
    if tier.backups:
        repository, sealed = tier.backups.repository, tier.backups.sealed_copy
        if repository.kind == "gcs":
            yield "backups.repository.location", repository.location, gcp[repository.location]
        if repository.kind == "s3":
            yield "backups.repository.region", repository.region, aws[repository.region]
        if sealed and sealed.kind == "gcs":
            yield "backups.sealedCopy.location", sealed.location, gcp[sealed.location]
        if sealed and sealed.kind == "s3":
            yield "backups.sealedCopy.region", sealed.region, aws[sealed.region]
    for name, one in tier.rebuild.items():
        if one.kind == "rekognition":
            yield f"rebuild.{name}.region", one.region, aws[one.region]
    key = tier.encryption_key
    if key and key.kind != "kubernetes":
        table = gcp if key.kind == "gcp-secret-manager" else aws
        for index, region in enumerate(key.replicas):
            yield f"encryptionKey.replicas.{index}", region, table[region]


RULES = (
    local_clusters_are_for_dev,
    other_clusters_name_their_images,
    guarded_tiers_have_backups_and_alerts,
    dev_guard_is_for_dev,
    openings_name_what_exists,
    no_store_takes_a_reserved_name,
    nobody_is_told_to_collect_twice,
    clouds_are_there_for_what_uses_them,
    workload_pool_serves_cloud_sql,
    cloud_sql_has_its_proxy,
    prod_key_survives_a_region,
    guarded_key_lives_in_a_vault,
    earlier_keys_are_earlier,
    rebuilds_have_their_source,
    key_replicas_are_listed_once,
    aws_goes_with_a_cluster_of_its_own_identities,
    aws_names_belong_to_the_account,
    places_lie_within_the_residency,
)
