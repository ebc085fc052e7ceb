"""`perene secrets init` and `check`: everything secret that a tier needs, made once and never overwritten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perene.contract.tier import TierDocument
from perene.custody import certificates, escrow, material, sentinel
from perene.custody.material import Content
from perene.custody.needed import Needed, needed
from perene.custody.vaults import Vaults
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode
from perene.private import state, write_private

RENEW_DAYS = 60


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run did. made and kept: names of secrets; escrow: the file, or None where nothing is escrowed."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    escrow: Path | None
    escrow_is_new: bool = False


def initialise(vaults: Vaults, tier: TierDocument, root: Path, recipient: str | None) -> Report:
    """Make what is missing, in the vault; escrow everything to the recipient.

    A guarded tier needs a recipient. PereneError when a secret is lost whose volume or sentinel still exists: a new one would
    not open them.
    """
    recipient = escrow_recipient(root, tier, recipient)
    wanted = needed(tier)
    made, known = make(vaults, tier, wanted)
    _publish(root, tier, known)
    kept = tuple(secret.name for secret in wanted if secret.name not in made)
    if not recipient:
        return Report(made=made, kept=kept, escrow=None)
    file = escrow.file_of(root, tier.stack, recipient)
    new = bool(made) or not file.exists()
    return Report(made=made, kept=kept, escrow=escrow.write(root, tier.stack, recipient, known) if new else file, escrow_is_new=new)


def make(vaults: Vaults, tier: TierDocument, wanted: Sequence[Needed]) -> tuple[tuple[str, ...], dict[str, Content]]:
    """Make what is missing of these; the names of what was made, and everything that is there now. What is lost is refused."""
    vaults.cluster.ensure_namespace()
    known = vaults.read(wanted)
    _refuse_lost(wanted, known, vaults.cluster.claims(), tier.stack)
    return _make_missing(vaults, wanted, known, tier), known


def escrow_recipient(root: Path, tier: TierDocument, recipient: str | None) -> str | None:
    """Who can open the escrow: as said, or as committed. PereneError when it is no recipient, or a guarded tier has none."""
    recipient = recipient or known_recipient(root, tier.stack)
    if recipient:
        escrow.parse_recipient(recipient)
    elif tier.guarded:
        raise PereneError(
            "has no escrow recipient",
            where=tier.stack,
            why="whoever loses the vault would lose every backup with it",
            fix=f"run `age-keygen` on an offline machine, and commit the public line as keys/{tier.stack}.age.pub",
            exit_code=ExitCode.CANNOT_TELL,
        )
    return recipient


def restore(vaults: Vaults, tier: TierDocument, root: Path, content: dict[str, Content]) -> Report:
    """Put back from an opened escrow what is missing; what exists stays as it is."""
    wanted = needed(tier)
    vaults.cluster.ensure_namespace()
    known = vaults.read(wanted)
    missing = [secret for secret in wanted if secret.name not in known]
    made = tuple(secret.name for secret in missing if secret.name in content and vaults.create(secret, content[secret.name]))
    _publish(root, tier, known | content)
    return Report(made=made, kept=tuple(known), escrow=None)


def problems(vaults: Vaults, tier: TierDocument) -> list[Problem]:
    """Everything that is wrong with a tier's secrets: missing, incomplete, ending soon, or not opening what they should."""
    wanted = needed(tier)
    known = vaults.read(wanted)
    where = vaults.place
    make = f"perene secrets init {tier.stack}"
    found = [
        Problem(what=f"the secret {secret.name} is missing ({secret.purpose})", where=where, fix=make)
        for secret in wanted
        if secret.name not in known
    ]
    present = [secret for secret in wanted if secret.name in known]
    for secret in present:
        absent = [key for key in secret.keys if not known[secret.name].get(key)]
        found += (
            [Problem(what=f"the secret {secret.name} has no {', '.join(absent)}", where=where, fix=remake(tier, secret))] if absent else []
        )
        if secret.purpose == "certificate" and not absent:
            found += _certificate_problems(secret, known[secret.name]["tls.crt"], where, remake(tier, secret))
    found += _key_problems(wanted, known, where)
    return found


def remake(tier: TierDocument, secret: Needed) -> str:
    """The command that makes one secret of the cluster anew."""
    return f"kubectl -n {tier.namespace} delete secret {secret.name}, then perene secrets init {tier.stack}"


def recipient_file(root: Path, stack: str) -> Path:
    """The committed file with the age recipient of a stack's escrow."""
    return root / "keys" / f"{stack}.age.pub"


def known_recipient(root: Path, stack: str) -> str | None:
    """The committed recipient of a stack, if there is one."""
    file = recipient_file(root, stack)
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


def public_key_file(root: Path, tier: TierDocument) -> Path:
    """Where the public key of drill records lies: in git for a guarded tier; that of a dev cluster is the checkout's own."""
    return (root / "keys" if tier.guarded else root / ".perene" / "keys") / f"{tier.stack}.pub"


def _make_missing(vaults: Vaults, wanted: Sequence[Needed], known: dict[str, Content], tier: TierDocument) -> tuple[str, ...]:
    keys = {secret.generation: secret for secret in wanted if secret.purpose == "encryption-key"}
    made = []
    for secret in wanted:
        if secret.name in known:
            continue
        sealing = keys[secret.generation] if secret.purpose == "sentinel" else None
        content = material.make(secret, known, tier.system, known[sealing.name][sealing.ref.key] if sealing else b"")
        if vaults.create(secret, content):
            made.append(secret.name)
            known[secret.name] = content
        else:
            known |= vaults.read([secret])
    return tuple(made)


def _refuse_lost(wanted: Sequence[Needed], known: Mapping[str, Content], claims: set[str], stack: str) -> None:
    """A lost secret is never made anew while something exists that only the lost one opens."""
    lost = []
    sealed = {secret.generation: secret.name for secret in wanted if secret.purpose == "sentinel" and secret.name in known}
    for secret in wanted:
        if secret.name in known:
            continue
        if secret.volume and secret.volume in claims:
            lost.append((secret.name, f"the volume claim {secret.volume} exists, and its content knows only the lost one"))
        if secret.purpose == "encryption-key" and secret.generation in sealed:
            lost.append(
                (secret.name, f"{sealed[secret.generation]} shows that there was one, and what it sealed opens with no other"),
            )
        elif secret.purpose == "encryption-key" and secret.superseded:
            lost.append((secret.name, f"encryptionKey.earlier names generation {secret.generation}, and an earlier key is never made"))
    if lost:
        raise PereneError(
            problems=[
                Problem(
                    what=f"the secret {name} is lost and is not made anew",
                    why=why,
                    fix=f"perene secrets restore {stack} ESCROW_FILE --identity AGE_IDENTITY, or perene key recover {stack} PAPER",
                )
                for name, why in lost
            ],
            exit_code=ExitCode.CANNOT_TELL,
        )


def _publish(root: Path, tier: TierDocument, known: Mapping[str, Content]) -> None:
    if tier.signing is None or tier.signing.name not in known:
        return
    file, public = public_key_file(root, tier), material.public_key(known[tier.signing.name][tier.signing.key])
    if not file.exists() or file.read_bytes() != public:
        if tier.guarded:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(public)
        else:
            state(root, "keys")
            write_private(file, public)


def _certificate_problems(secret: Needed, certificate: bytes, where: str, fix: str) -> list[Problem]:
    left, missing = certificates.days_left(certificate), certificates.missing_hosts(certificate, secret.hosts)
    found = []
    if left < RENEW_DAYS:
        what = f"the certificate in {secret.name} ends in {left} days" if left >= 0 else f"the certificate in {secret.name} has ended"
        found.append(Problem(what=what, where=where, why="clients verify it and will refuse the server", fix=fix))
    if missing:
        found.append(Problem(what=f"the certificate in {secret.name} does not carry {', '.join(missing)}", where=where, fix=fix))
    return found


def _key_problems(wanted: Sequence[Needed], known: Mapping[str, Content], where: str) -> list[Problem]:
    value = {(secret.purpose, secret.generation): known[secret.name].get(secret.ref.key) for secret in wanted if secret.name in known}
    found = []
    for generation in sorted({secret.generation for secret in wanted if secret.purpose == "sentinel"}):
        key, sealed = value.get(("encryption-key", generation)), value.get(("sentinel", generation))
        if key and sealed and not sentinel.opens(key, sealed):
            found.append(
                Problem(
                    what=f"the encryption key (generation {generation}) does not open the sentinel that was sealed with it",
                    where=where,
                    why="the key was replaced: what the application encrypted does not open either",
                    fix="put the right key back from the escrow (perene key recover, perene secrets restore)",
                )
            )
    return found
