"""The application's 32-byte key: made once in its vault, compared with what needs it, rotated, taken out of use, put back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from perene.contract.recovery_set import KeyProof
from perene.contract.tier import EncryptionKey, TierDocument
from perene.custody import init, paper, sentinel
from perene.custody.material import Content
from perene.custody.needed import Needed, needed
from perene.custody.paper import Paper
from perene.custody.vaults import Vaults
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.private import state, write_private

BYTES = 32
# Set -> what it says about the keys that it needs.
Proofs = Mapping[str, KeyProof]


class Fault(StrEnum):
    """What is wrong with a key."""

    MISSING = "missing"
    SHORT = "of a wrong length"
    SWAPPED = "swapped"
    REGENERATED = "made anew"
    UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One comparison. generation: 0 for what belongs to none; what: in words, never a value."""

    place: str
    generation: int
    what: str
    fault: Fault | None = None
    fix: str = ""


def create(vaults: Vaults, tier: TierDocument, root: Path, recipient: str | None) -> tuple[str, ...]:
    """Make the key of the declared generation and its sentinel, where they are missing; the names of what was made."""
    init.escrow_recipient(root, tier, recipient)
    wanted = _keys(tier)
    known = vaults.read(wanted)
    for finding in _in_vault(wanted, known, tier.stack):
        if finding.fault and finding.generation != tier_key(tier).generation:
            raise PereneError(
                f"the key of generation {finding.generation} is {finding.fault}: {finding.what}",
                where=vaults.place,
                why="a new key beside a wrong one would hide that what it sealed does not open",
                fix=finding.fix,
                exit_code=ExitCode.NOT_PROVEN,
            )
    return init.make(vaults, tier, wanted)[0]


def write_paper(vaults: Vaults, tier: TierDocument, root: Path, recipient: str | None, today: date) -> tuple[Path, tuple[str, ...]]:
    """Seal what opens every set to the recipient, as text to print; the file, and the secrets that do not exist yet."""
    to = init.escrow_recipient(root, tier, recipient)
    if to is None:
        raise PereneError(
            "has no escrow recipient",
            where=tier.stack,
            fix=f"run `age-keygen` on an offline machine; give its public line with --escrow, or commit it as keys/{tier.stack}.age.pub",
            exit_code=ExitCode.USAGE,
        )
    wanted = _essential(tier)
    known = vaults.read(wanted)
    if not known:
        raise PereneError("there is nothing to escrow yet", where=vaults.place, fix=f"perene secrets init {tier.stack}")
    file = paper_file(root, tier.stack)
    state(root, "escrow")
    if file.exists():
        file.replace(file.with_suffix(".txt.before"))
    write_private(file, paper.write(tier.stack, to, known, today))
    return file, tuple(secret.name for secret in wanted if secret.name not in known)


def paper_file(root: Path, stack: str) -> Path:
    """Where the text to print lies. It is sealed; the file is the operator's alone all the same."""
    return root / ".perene" / "escrow" / f"{stack}-paper.txt"


def check(vaults: Vaults, tier: TierDocument, proofs: Proofs | None, printed: Paper | None) -> list[Finding]:
    """Compare the keys in the vault with their sentinels, with every set on hand and with the escrow. None: could not be had."""
    keys, wanted = _keys(tier), _essential(tier)
    known = vaults.read((*keys, *(secret for secret in wanted if secret not in keys)))
    found = list(_in_vault(keys, known, tier.stack))
    wrong = {finding.generation for finding in found if finding.fault}
    value = {secret.generation: known[secret.name][secret.ref.key] for secret in keys if _is_key(secret) and secret.name in known}
    found += _in_sets({n: key for n, key in value.items() if n not in wrong}, set(tier_key(tier).generations), proofs, tier.stack)
    found += _in_escrow(wanted, known, printed, tier)
    return found


def needing(proofs: Proofs, generation: int) -> list[str]:
    """The sets on hand that need a generation of the key, oldest first."""
    return sorted(name for name, proof in proofs.items() if generation in proof.sentinels)


def retire(vaults: Vaults, tier: TierDocument, generation: int, proofs: Proofs) -> tuple[str, ...]:
    """Take an earlier key out of use. PereneError while data or a set on hand needs it, with the names of the sets."""
    kept = tier_key(tier).generations
    where = f"encryptionKey.earlier of {tier.stack}"
    if generation not in kept or generation == tier_key(tier).generation:
        raise PereneError(
            f"{generation} is no earlier generation of the key",
            where=where,
            fix=f"earlier ones: {', '.join(map(str, sorted(kept)[:-1])) or 'none'}",
            exit_code=ExitCode.USAGE,
        )
    if kept[generation].in_use:
        raise PereneError(
            f"data is still sealed with generation {generation}",
            where=where,
            why="without the key it could never be read again",
            fix=f"seal it anew with the key in place, then declare `earlier: {{{generation}: retired}}` and apply",
            exit_code=ExitCode.LOSES_DATA,
        )
    sets = needing(proofs, generation)
    if sets:
        raise PereneError(
            f"{len(sets)} sets on hand need generation {generation} of the key: {', '.join(sets)}",
            where=where,
            why="their encrypted content would be lost with it",
            fix="wait until retention has removed them (`perene retention apply --dry-run` shows when)",
            exit_code=ExitCode.LOSES_DATA,
        )
    gone = [secret for secret in _keys(tier) if secret.generation == generation]
    for secret in gone:
        vaults.retire(secret)
    return tuple(secret.name for secret in gone)


def recover(vaults: Vaults, tier: TierDocument, content: Mapping[str, Content]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put back from an opened escrow what is missing; names of what was put back and of what was there.

    PereneError (exit 6) before anything is written when the escrow's key is not the one that is in place or that sealed the sentinel.
    """
    wanted = [secret for secret in _essential(tier) if secret.name in content]
    known = vaults.read([*wanted, *_keys(tier)])
    problems = []
    for secret in wanted:
        if secret.name in known and known[secret.name] != content[secret.name]:
            problems.append(Problem(what=f"{secret.name} in the vault is another one than in the escrow", where=vaults.place))
        elif _is_key(secret):
            sealed = [known[one.name][one.ref.key] for one in _keys(tier) if one.name in known and _seals(one, secret)]
            if sealed and not sentinel.opens(content[secret.name][secret.ref.key], sealed[0]):
                problems.append(Problem(what=f"{secret.name} of the escrow does not open the sentinel in the vault", where=vaults.place))
    if problems:
        fix = f"nothing was changed: `perene key check {tier.stack}` says which of the two opens the sets on hand"
        raise PereneError(problems=[Problem(what=p.what, where=p.where, fix=fix) for p in problems], exit_code=ExitCode.NOT_PROVEN)
    vaults.cluster.ensure_namespace()
    made = tuple(secret.name for secret in wanted if secret.name not in known and vaults.create(secret, content[secret.name]))
    return made, tuple(secret.name for secret in wanted if secret.name not in made)


def tier_key(tier: TierDocument) -> EncryptionKey:
    """The tier's key. PereneError (exit 3) when it has none."""
    if tier.encryption_key is None:
        raise PereneError(f"{tier.stack} has no encryption key", fix="declare `encryptionKey`", exit_code=ExitCode.CANNOT_TELL)
    return tier.encryption_key


def _keys(tier: TierDocument) -> tuple[Needed, ...]:
    tier_key(tier)
    return tuple(secret for secret in needed(tier) if secret.purpose in {"encryption-key", "sentinel"})


def _essential(tier: TierDocument) -> tuple[Needed, ...]:
    return tuple(secret for secret in needed(tier) if secret.purpose in paper.PURPOSES)


def _is_key(secret: Needed) -> bool:
    return secret.purpose == "encryption-key"


def _seals(one: Needed, key: Needed) -> bool:
    return one.purpose == "sentinel" and one.generation == key.generation


def _in_vault(keys: tuple[Needed, ...], known: Mapping[str, Content], stack: str) -> Iterator[Finding]:
    recover_ = f"perene key recover {stack} PAPER --identity AGE_IDENTITY"
    for secret in filter(_is_key, keys):
        place, number = f"vault {secret.name}", secret.generation
        if secret.name not in known:
            fix = recover_ if secret.superseded else f"perene key create {stack}; was there one before: {recover_}"
            yield Finding(place=place, generation=number, fault=Fault.MISSING, what="the vault holds no value", fix=fix)
            continue
        key = known[secret.name].get(secret.ref.key, b"")
        sealed = next((known[one.name].get(one.ref.key, b"") for one in keys if _seals(one, secret) and one.name in known), None)
        if len(key) != BYTES:
            what = f"{len(key)} bytes, {BYTES} are wanted{_written_as(key)}"
            yield Finding(place=place, generation=number, fault=Fault.SHORT, what=what, fix=recover_)
        elif sealed is None:
            fix = f"perene secrets init {stack}"
            yield Finding(place=place, generation=number, fault=Fault.UNKNOWN, what="there is no sentinel to open", fix=fix)
        elif not sentinel.opens(key, sealed):
            what = f"{sentinel.fingerprint(key)} does not open the sentinel that was sealed with the first value"
            yield Finding(place=place, generation=number, fault=Fault.SWAPPED, what=what, fix=recover_)
        else:
            yield Finding(place=place, generation=number, what=f"{sentinel.fingerprint(key)} opens its sentinel")


def _written_as(key: bytes) -> str:
    text = key.strip()
    return {64: " (it looks like hexadecimal text, not the bytes)", 44: " (it looks like base64 text, not the bytes)"}.get(len(text), "")


def _in_sets(keys: Mapping[int, bytes], kept: set[int], proofs: Proofs | None, stack: str) -> Iterator[Finding]:
    """Only keys that open their own sentinel are looked at: what is wrong with the others is said already."""
    if proofs is None:
        yield Finding(place="sets", generation=0, fault=Fault.UNKNOWN, what="they could not be read")
        return
    for number in sorted({number for proof in proofs.values() for number in proof.sentinels} | set(keys)):
        sets = {name: proof.sentinels[number] for name, proof in proofs.items() if number in proof.sentinels}
        if number not in kept:
            what = f"needed by {_span(sets)}, and the tier declares it no more"
            fix = f"declare it under encryptionKey.earlier, then perene key recover {stack} PAPER --identity AGE_IDENTITY"
            yield Finding(place="sets", generation=number, fault=Fault.MISSING, what=what, fix=fix)
        elif number in keys:
            closed = [name for name, sealed in sets.items() if not sentinel.opens(keys[number], sealed)]
            if closed:
                what = f"{sentinel.fingerprint(keys[number])} opens its own sentinel, but not those of {_span(closed)}: an earlier key did"
                fix = f"perene key recover {stack} PAPER --identity AGE_IDENTITY, with the escrow of that time"
                yield Finding(place="sets", generation=number, fault=Fault.REGENERATED, what=what, fix=fix)
            else:
                yield Finding(place="sets", generation=number, what=f"opens the sentinels of {_span(sets)}" if sets else "no set yet")


def _in_escrow(wanted: tuple[Needed, ...], known: Mapping[str, Content], printed: Paper | None, tier: TierDocument) -> Iterator[Finding]:
    anew = f"perene key escrow {tier.stack}, print it, destroy the old one when every set is newer"
    if printed is None:
        fault = Fault.MISSING if tier.guarded else None
        yield Finding(place="escrow", generation=0, fault=fault, what="there is none on paper here", fix=f"perene key escrow {tier.stack}")
        return
    for secret in wanted:
        if secret.name not in known:
            continue
        there, here = printed.fingerprints.get(secret.name), paper.fingerprint(known[secret.name])
        place, number = f"escrow {secret.name}", secret.generation
        if there is None:
            yield Finding(place=place, generation=number, fault=Fault.MISSING, what="the escrow is older than it", fix=anew)
        elif there != here:
            what = f"the escrow holds {there}, the vault {here}"
            fix = f"find out which one opens the sets before either is thrown away; {anew}"
            yield Finding(place=place, generation=number, fault=Fault.SWAPPED, what=what, fix=fix)
        else:
            yield Finding(place=place, generation=number, what=f"{there}, as in the vault")


def _span(sets: Mapping[str, bytes] | list[str]) -> str:
    names = sorted(sets)
    return f"{len(names)} sets ({names[0]} .. {names[-1]})" if len(names) > 1 else f"the set {names[0]}"
