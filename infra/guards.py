"""All resource options come from here, beside `parent`: what is protected, what is ignored, what goes with what."""

from collections.abc import Sequence

import pulumi


def within(
    parent: pulumi.Resource,
    *,
    protect: bool,
    depends_on: Sequence[pulumi.Resource] = (),
    ignore_changes: Sequence[str] = (),
    deleted_with: pulumi.Resource | None = None,
    import_id: str | None = None,
    provider: pulumi.ProviderResource | None = None,
) -> pulumi.ResourceOptions:
    """Options of a child.

    protect: in a guarded tier every resource is, so that a refused destroy makes no mutating call at all.
    ignore_changes: engine paths in camelCase (snake_case below the top level matches nothing, without a warning).
    deleted_with: the resource whose deletion takes this one along: without it a replaced instance has its databases dropped first.
    import_id: adopt what exists.
    """
    return pulumi.ResourceOptions(
        parent=parent,
        protect=protect,
        depends_on=list(depends_on),
        ignore_changes=list(ignore_changes) or None,
        deleted_with=deleted_with,
        import_=import_id,
        provider=provider,
    )


def named_by_content(parent: pulumi.Resource, *, depends_on: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
    """Options of a Job, and of what only it reads, under a name that carries a digest of its content.

    Never protected: a protected resource cannot be replaced, so the first changed role or migration would be refused in every guarded
    tier. It holds no data, and what it did stays done when it goes.
    """
    return within(parent, protect=False, depends_on=depends_on)


def component(
    *, protect: bool, providers: Sequence[pulumi.ProviderResource] = (), depends_on: Sequence[pulumi.Resource] = ()
) -> pulumi.ResourceOptions:
    """Options of a component: its parent is the stack."""
    return pulumi.ResourceOptions(protect=protect, providers=list(providers), depends_on=list(depends_on))
