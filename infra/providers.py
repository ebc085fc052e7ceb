"""Explicit providers only, with the options that decide what is replaced set once, here."""

import pulumi

from infra import guards
from infra.config.model import Tier


def of(tier: Tier) -> tuple[pulumi.ProviderResource, ...]:
    """The providers that the tier uses. A cloud's SDK costs a second to import: only those that are used are."""
    made: list[pulumi.ProviderResource] = [_kubernetes(tier)]
    if tier.clouds.gcp:
        made.append(_gcp(tier.clouds.gcp.project, tier.clouds.gcp.region, protect=tier.guarded))
    if tier.clouds.aws:
        made.append(_aws(tier.clouds.aws.account, tier.clouds.aws.region, protect=tier.guarded))
    return tuple(made)


def _kubernetes(tier: Tier) -> pulumi.ProviderResource:
    import pulumi_kubernetes as kubernetes

    return kubernetes.Provider(
        "cluster",
        # A local cluster is found by `make up`, which hands its kubeconfig over; every other one is named.
        context=None if tier.cluster.kind == "local" else tier.cluster.context,
        namespace=tier.cluster.namespace,
        # A changed kubeconfig or context must never replace the provider and with it every resource.
        cluster_identifier=f"{tier.system}-{tier.environment}",
        # A changed value is an update; replacing an object of the same name would delete it first.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        enable_server_side_apply=True,
        delete_unreachable=False,
        opts=guards.component(protect=tier.guarded),
    )


def _gcp(project: str, region: str, *, protect: bool) -> pulumi.ProviderResource:
    import pulumi_gcp as gcp

    # Another project or region here moves nothing that exists: every resource says its own.
    return gcp.Provider("gcp", project=project, region=region, opts=guards.component(protect=protect))


def _aws(account: str, region: str, *, protect: bool) -> pulumi.ProviderResource:
    import pulumi_aws as aws

    # The wrong account's credentials are refused before anything is asked.
    return aws.Provider("aws", region=region, allowed_account_ids=[account], opts=guards.component(protect=protect))


def sealed_account(account: str, region: str, role: str, *, protect: bool) -> pulumi.ProviderResource:
    """The provider of the account that holds the sealed copy, reached through a role there."""
    import pulumi_aws as aws

    return aws.Provider(
        "sealed-account",
        region=region,
        allowed_account_ids=[account],
        assume_roles=[aws.ProviderAssumeRoleArgs(role_arn=role)],
        opts=guards.component(protect=protect),
    )
