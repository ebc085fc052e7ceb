"""`perene key create|check|escrow|rotate|recover STACK`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perene.audit.operation import record
from perene.backup import sets
from perene.backup.tier import open_repository
from perene.cli import sources
from perene.contract.recovery_set import KeyProof
from perene.contract.tier import TierDocument
from perene.custody import init, key, paper
from perene.custody.cluster_secrets import ClusterSecrets
from perene.custody.vaults import Vaults
from perene.engine import stacks, target
from perene.engine.jobs import run_now
from perene.engine.tier import tier_of
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from perene.health.targets import RETENTION_JOB

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The application's encryption key: made once, escrowed, compared, rotated."
)
SUBJECT = "encryption key"
out = Console(soft_wrap=True, highlight=False)

Stack = Annotated[str, typer.Argument(help="the stack, like dev")]
Context = Annotated[str | None, typer.Option(help="kubeconfig context, for a cluster that `make up` did not make")]
Recipient = Annotated[str | None, typer.Option("--escrow", help="age recipient (age1...); default: keys/STACK.age.pub")]
Identity = Annotated[Path, typer.Option(help="file with the age identity (AGE-SECRET-KEY-1...)")]


@dataclass(frozen=True)
class _Place:
    """A stack's tier and its vaults."""

    root: Path
    tier: TierDocument
    cluster: ClusterSecrets
    vaults: Vaults

    def proofs(self, url: str | None) -> dict[str, KeyProof]:
        """What the sets on hand say: from here, or by a job where the repository is a volume of the cluster."""
        kept = self.tier.repository
        if kept and kept.kind == "volume" and url is None:
            log = run_now(self.cluster.kubectl, self.tier.namespace, RETENTION_JOB, ("repo", "list", "--keys"), seconds=600)
            found = json.loads(next(line for line in log.splitlines() if line.startswith("{")))
            return {name: KeyProof.model_validate_json(json.dumps(proof)) for name, proof in found.items()}
        return sets.keys_needed(open_repository(self.tier, url=url))


@app.command()
def create(stack: Stack, escrow: Recipient = None, context: Context = None) -> None:
    """Make the key where there is none yet: 32 bytes from the system's generator, straight into the vault."""
    place = _place(stack, context)
    with record("key-create", place.tier, subject=SUBJECT, first=True) as found:
        made = key.create(place.vaults, place.tier, place.root, escrow)
        found["made"] = ", ".join(made) or "nothing"
    out.print(f"made: {', '.join(made)}" if made else "nothing to do: the key and its sentinel exist", markup=False)
    if made and init.escrow_recipient(place.root, place.tier, escrow):
        _print_escrow(place, escrow)
    elif made:
        out.print(
            f"NOT ESCROWED: whoever loses the vault loses every encrypted byte (perene key escrow {stack} --escrow age1...)", markup=False
        )


@app.command()
def escrow(stack: Stack, escrow: Recipient = None, context: Context = None) -> None:
    """Seal the key, and what else opens a set, as text that can be printed and typed."""
    place = _place(stack, context)
    with record("key-escrow", place.tier, subject=SUBJECT, first=True):
        _print_escrow(place, escrow)


@app.command()
def check(
    stack: Stack,
    paper_file: Annotated[Path | None, typer.Option("--paper", help="the escrow as text; default: the one written here last")] = None,
    identity: Annotated[Path | None, typer.Option(help="open the escrow too, with this age identity")] = None,
    repository: sources.Url = None,
    context: Context = None,
) -> None:
    """Compare the vault with the sentinels, with every set on hand and with the escrow. Exit 6 when anything differs, 3 when unknown."""
    place = _place(stack, context)
    file = paper_file or key.paper_file(place.root, stack)
    printed = paper.read(file.read_text(encoding="utf-8"), str(file)) if paper_file or file.exists() else None
    if printed and identity:
        paper.unseal(printed, identity, str(file))
    proofs, why = None, ""
    try:
        proofs = place.proofs(repository)
    except PereneError as closed:
        why = str(closed)
    found = key.check(place.vaults, place.tier, proofs, printed)
    for one in found:
        generation = f"generation {one.generation}: " if one.generation else ""
        out.print(f"{one.place:<30} {generation}{f'{one.fault}: ' if one.fault else ''}{one.what}", markup=False)
        if one.fix:
            out.print(f"{'':<30}   fix: {one.fix}", markup=False)
    faults = {one.fault for one in found if one.fault}
    if why:
        Console(stderr=True, soft_wrap=True, highlight=False).print(why, markup=False)
    if faults:
        raise typer.Exit(ExitCode.CANNOT_TELL if faults == {key.Fault.UNKNOWN} else ExitCode.NOT_PROVEN)


@app.command()
def rotate(
    stack: Stack,
    retire: Annotated[int | None, typer.Option(help="take this earlier generation out of use")] = None,
    escrow: Recipient = None,
    repository: sources.Url = None,
    context: Context = None,
) -> None:
    """Make the key of the generation that the configuration names; the one before it stays until no set needs it."""
    place = _place(stack, context)
    declared = key.tier_key(place.tier)
    if retire is not None:
        with record("key-retire", place.tier, subject=SUBJECT, url=repository, generation=str(retire)):
            gone = key.retire(place.vaults, place.tier, retire, place.proofs(repository))
        out.print(f"out of use: {', '.join(gone)}", markup=False)
        out.print(f"now take {retire} out of encryptionKey.earlier in Pulumi.{stack}.yaml and apply: jobs still mount it", markup=False)
        return
    with record("key-rotate", place.tier, subject=SUBJECT, url=repository, generation=str(declared.generation)) as found:
        made = key.create(place.vaults, place.tier, place.root, escrow)
        found["made"] = ", ".join(made) or "nothing"
    if not made:
        following = {**{int(number): one.in_use for number, one in declared.earlier.items()}, declared.generation: True}
        earlier = ", ".join(f'"{number}": {"in-use" if used else "retired"}' for number, used in sorted(following.items()))
        raise PereneError(
            f"the key of generation {declared.generation} is in place",
            where=f"Pulumi.{stack}.yaml, encryptionKey",
            why="a new key is declared first, so that its place and its readers exist and the one before stays",
            fix=f"write `generation: {declared.generation + 1}` and `earlier: {{{earlier}}}`, apply, then this command again",
            exit_code=ExitCode.CANNOT_TELL,
        )
    out.print(f"made: {', '.join(made)}", markup=False)
    if init.escrow_recipient(place.root, place.tier, escrow):
        _print_escrow(place, escrow)
    out.print("Next: start the application with both keys, seal its data anew, back up and drill;", markup=False)
    out.print(
        f"then declare the earlier one `retired`, and, when its sets have expired: perene key rotate {stack} --retire N", markup=False
    )


@app.command()
def recover(
    stack: Stack,
    file: Annotated[Path, typer.Argument(help="the escrow as text: printed and scanned, or typed")],
    identity: Identity,
    context: Context = None,
) -> None:
    """Put back from the paper what is missing in the vault; what exists stays, and another key is refused."""
    place = _place(stack, context)
    printed = paper.read(file.read_text(encoding="utf-8"), str(file))
    content = paper.unseal(printed, identity, str(file))
    with record("key-recover", place.tier, subject=SUBJECT, first=True) as found:
        made, kept = key.recover(place.vaults, place.tier, content)
        found["made"] = ", ".join(made) or "nothing"
    out.print(f"put back: {', '.join(made) or 'nothing'}; the same already: {', '.join(kept) or 'nothing'}", markup=False)
    out.print(f"now: perene secrets init {stack} (makes what the paper does not hold), perene key check {stack}", markup=False)


def _print_escrow(place: _Place, recipient: str | None) -> None:
    file, absent = key.write_paper(place.vaults, place.tier, place.root, recipient, datetime.now(UTC).date())
    out.print(f"sealed as text to {file}: print it, keep it where the identity is not", markup=False)
    if absent:
        out.print(
            f"not in it, because they do not exist yet: {', '.join(absent)} (perene secrets init, then perene key escrow)", markup=False
        )


def _place(stack: str, context: str | None) -> _Place:
    root = stacks.project_root()
    tier = tier_of(root, stack)
    where = target.adopt_context(root, stack, context) if context else target.of_stack(root, stack)
    client = where.client()
    client.ready()
    cluster = ClusterSecrets(client, stack, tier.namespace)
    return _Place(root, tier, cluster, Vaults(cluster))
