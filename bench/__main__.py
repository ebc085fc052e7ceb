"""`python -m bench [NAME...]`: run benchmarks and print their ratios; exit 1 when a promise is not kept."""

import importlib
import sys

from rich.console import Console
from rich.table import Table

from bench import Row

# name: (module with `run() -> list[Row]`, what it measures). Modules are imported when they run: some need a server.
BENCHMARKS: dict[str, tuple[str, str]] = {
    "program": ("bench.program", "the program against a bare Pulumi program, and its cost per store"),
    "stores": ("bench.stores", "Redis copied and proven, cross-checks"),
    "backup": ("bench.backup", "backup, restore and drill against pg_dump, pg_restore and pgBackRest"),
    "audit": ("bench.audit", "perene audit verify over three thousand lines"),
    "cloud": ("bench.cloud", "the cloud tier: prod's program, 500 Cloud SQL stores, a real preview against a bare program"),
    "migrate": ("bench.migrate", "perene migrate: plan, an apply with nothing to do, a rehearsal"),
}


def main(names: list[str]) -> int:
    """Run the benchmarks named, or all."""
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        Console(stderr=True).print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}", markup=False)
        return 2
    rows: list[Row] = []
    for name in names or BENCHMARKS:
        module, text = BENCHMARKS[name]
        Console(stderr=True).print(f"{name}: {text}", markup=False)
        rows += importlib.import_module(module).run()
    Console(width=None if sys.stdout.isatty() else 160).print(table(rows))
    return 0 if all(row.kept for row in rows) else 1


def table(rows: list[Row]) -> Table:
    """The rows as a table."""
    shown = Table("what", "against", "measured", "plain", "ratio", "promised")
    for row in rows:
        promised = "-" if row.promised is None else f"<= {row.promised:g} {'kept' if row.kept else 'BROKEN'}"
        shown.add_row(row.what, row.against, f"{row.measured:.4g} {row.unit}", f"{row.plain:.4g} {row.unit}", f"{row.ratio:.2f}", promised)
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
