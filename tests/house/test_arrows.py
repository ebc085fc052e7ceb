"""The import arrows of design section 3, on every module of the house."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]
# prefix of the importing module: prefixes it may import besides itself, the standard library and third parties.
ALLOWED: dict[str, tuple[str, ...]] = {
    "infra.config": ("perene.contract", "perene.errors", "perene.exit_codes", "infra.config"),
    "infra.components": (
        "perene.contract",
        "infra.components",
        "infra.naming",
        "infra.guards",
        "infra.lifecycle",
        "infra.permissions",
        "perene.health.signals",
    ),
    "infra": ("perene.contract", "perene.errors", "perene.exit_codes", "perene.health.signals", "perene.health.targets", "infra"),
    "policy": ("perene.safety.catalog", "policy"),
    "perene.engine": ("perene", "infra", "policy"),
    "perene.contract": ("perene.contract", "perene.errors", "perene.exit_codes"),
    "perene": ("perene",),
}
PYDANTIC = ("infra.config", "perene.contract")


@functools.cache
def modules() -> dict[str, ast.Module]:
    files = [path for top in ("infra", "perene", "policy") for path in (ROOT / top).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text()) for path in files}


@functools.cache
def imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def test_every_import_follows_the_arrows() -> None:
    wrong = []
    for module, tree in modules().items():
        rule = max((prefix for prefix in ALLOWED if within(module, (prefix,))), key=len)
        for name in imports(tree):
            own = name.split(".")[0] in {"infra", "perene", "policy"} and name not in {"infra", "perene", "policy"}
            # `from a.b import c` yields both a.b and a.b.c: either may satisfy the rule, so judge only the longest.
            if own and not any(within(longer, ALLOWED[rule]) for longer in imports(tree) if longer.startswith(name)):
                wrong.append(f"{module} imports {name}; allowed: {', '.join(ALLOWED[rule])}")
    assert not wrong, "\n".join(sorted(wrong))


def test_pydantic_stays_at_the_edge() -> None:
    wrong = [
        module
        for module, tree in modules().items()
        if any(within(name, ("pydantic",)) for name in imports(tree)) and not within(module, PYDANTIC)
    ]
    assert not wrong, f"pydantic belongs to {PYDANTIC} only: {wrong}"


def test_only_the_engine_runs_the_program() -> None:
    wrong = [
        module
        for module, tree in modules().items()
        if module.startswith("perene.") and not module.startswith("perene.engine") and any(within(n, ("infra",)) for n in imports(tree))
    ]
    assert not wrong, f"only perene.engine may import infra: {wrong}"
