"""The encryption key: made once, compared with all that needs it, rotated without losing a set, put back, and seen nowhere."""

import base64
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from perene.contract.recovery_set import KeyProof
from perene.contract.tier import KeyGeneration, TierDocument
from perene.custody import init, key, paper, sentinel
from perene.custody.key import Fault
from perene.custody.needed import needed
from perene.custody.vaults import Vaults
from perene.errors import PereneError
from perene.exit_codes import ExitCode
from tests.custody.doubles import DoubleOfClusterSecrets, reference, tier
from tests.programs import needs

KEY, SENTINEL = "perene-encryption-key", "perene-sentinel"
TODAY = datetime(2026, 11, 26, tzinfo=UTC).date()


def rotated(*, in_use: bool = True) -> TierDocument:
    """The tier after its second key was declared."""
    first = tier()
    assert first.encryption_key
    second = first.encryption_key.model_copy(
        update={
            "ref": reference(f"{KEY}-g2", "key"),
            "sentinel": reference(f"{SENTINEL}-g2", "sentinel"),
            "generation": 2,
            "earlier": {"1": KeyGeneration(ref=reference(KEY, "key"), sentinel=reference(SENTINEL, "sentinel"), in_use=in_use)},
        }
    )
    return first.model_copy(update={"encryption_key": second})


@pytest.fixture
def vault(tmp_path: Path) -> DoubleOfClusterSecrets:
    """A vault with everything that the tier needs."""
    made = DoubleOfClusterSecrets()
    init.initialise(Vaults(made), tier(), tmp_path, None)
    return made


def proofs(vault: DoubleOfClusterSecrets, *names: str) -> dict[str, KeyProof]:
    """Sets that were made with the vault as it is."""
    return {name: KeyProof(generation=1, sentinel=vault.secrets[SENTINEL]["sentinel"].hex()) for name in names or ("set-1",)}


def faults(vault: DoubleOfClusterSecrets, sets: dict[str, KeyProof] | None = None, printed: paper.Paper | None = None) -> dict[str, Fault]:
    found = key.check(Vaults(vault), tier(), proofs(vault) if sets is None else sets, printed)
    return {one.place: one.fault for one in found if one.fault}


def printed(vault: DoubleOfClusterSecrets, root: Path, document: TierDocument | None = None) -> tuple[Path, Path]:
    """The escrow on paper, and the file with its identity."""
    identity = pyrage.x25519.Identity.generate()
    (root / "identity").write_text(f"# offline\n{identity}\n")
    file, _ = key.write_paper(Vaults(vault), document or tier(), root, str(identity.to_public()), TODAY)
    return file, root / "identity"


def test_the_key_is_made_once_and_alone(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    assert key.create(Vaults(vault), tier(), tmp_path, None) == (KEY, SENTINEL)
    first = vault.secrets[KEY]["key"]
    assert len(first) == 32
    assert key.create(Vaults(vault), tier(), tmp_path, None) == ()
    assert vault.secrets[KEY]["key"] == first
    assert set(vault.secrets) == {KEY, SENTINEL}, "other secrets are another command's"


def test_a_guarded_tier_gets_no_key_that_nobody_could_recover(tmp_path: Path) -> None:
    vault = DoubleOfClusterSecrets()
    with pytest.raises(PereneError, match="has no escrow recipient"):
        key.create(Vaults(vault), tier(guarded=True), tmp_path, None)
    assert not vault.secrets


def test_a_key_in_order_has_no_fault(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    file, _ = printed(vault, tmp_path)
    assert faults(vault, printed=paper.read(file.read_text(), "paper")) == {}


def test_each_fault_is_named_as_what_it_is(vault: DoubleOfClusterSecrets) -> None:
    before, place = proofs(vault, "20261101T010000Z-a", "20261102T010000Z-b"), f"vault {KEY}"
    right = vault.secrets[KEY]["key"]

    vault.secrets[KEY] = {"key": right[:16]}
    assert faults(vault, before) == {place: Fault.SHORT}
    vault.secrets[KEY] = {"key": right.hex().encode()}
    found = next(one for one in key.check(Vaults(vault), tier(), before, None) if one.fault)
    assert "hexadecimal text" in found.what
    vault.secrets[KEY] = {"key": os.urandom(32)}
    assert faults(vault, before) == {place: Fault.SWAPPED}
    del vault.secrets[KEY]
    assert faults(vault, before) == {place: Fault.MISSING}

    anew = os.urandom(32)
    vault.secrets |= {KEY: {"key": anew}, SENTINEL: {"sentinel": sentinel.seal(anew)}}
    assert faults(vault, before) == {"sets": Fault.REGENERATED}, "key and sentinel agree, but the sets know another one"
    assert "20261101T010000Z-a .. 20261102T010000Z-b" in next(
        one.what for one in key.check(Vaults(vault), tier(), before, None) if one.fault
    )


def test_sets_that_cannot_be_read_are_no_sets_in_order(vault: DoubleOfClusterSecrets) -> None:
    found = key.check(Vaults(vault), tier(), None, None)
    assert [one.fault for one in found if one.place == "sets"] == [Fault.UNKNOWN]


def test_an_escrow_of_another_key_is_told(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    other = DoubleOfClusterSecrets()
    init.initialise(Vaults(other), tier(), tmp_path, None)
    file, _ = printed(other, tmp_path)
    found = faults(vault, printed=paper.read(file.read_text(), "paper"))
    assert found[f"escrow {KEY}"] == Fault.SWAPPED


def test_what_is_typed_wrong_is_named_by_its_line(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    file, identity = printed(vault, tmp_path)
    text = file.read_text()
    lines = text.splitlines()
    third = next(number for number, line in enumerate(lines) if line.startswith("03 "))
    letter = lines[third][9]
    wrong = lines[third][:9] + ("A" if letter != "A" else "B") + lines[third][10:]
    with pytest.raises(PereneError, match="line 03 does not agree"):
        paper.read("\n".join([*lines[:third], wrong, *lines[third + 1 :]]), "typed")
    with pytest.raises(PereneError, match="lines are missing: 03"):
        paper.read("\n".join([*lines[:third], *lines[third + 1 :]]), "typed")
    assert paper.read(text.replace("I", "1").replace(" B", " 8"), "typed").sealed == paper.read(text, "printed").sealed
    shown = paper.read(text, "printed").fingerprints[KEY]
    changed = text.replace(shown, shown[::-1])
    with pytest.raises(PereneError, match="stand in the open"):
        paper.unseal(paper.read(changed, "typed"), identity, "typed")


@needs("age")
def test_the_paper_opens_with_age_alone(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    file, identity = printed(vault, tmp_path)
    open_, take = paper.OPEN
    command = f"{open_} {take.removeprefix('...')}".replace("PAPER", str(file)).replace("IDENTITY", str(identity)).replace("SECRET", KEY)
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=True)
    assert done.stdout == vault.secrets[KEY]["key"]
    everything = subprocess.run(
        ["bash", "-c", open_.replace("PAPER", str(file)).replace("IDENTITY", str(identity))], capture_output=True, check=True
    )
    for name, content in (("perene-restic", "password"), ("perene-ca", "ca.crt"), ("perene-ca", "ca.key")):
        value = base64.b64encode(vault.secrets[name][content])
        assert f"{name} {content} ".encode() + value in everything.stdout, f"no set opens without {name}"
    assert len(file.read_text().splitlines()) < 50, "it fits on a page"


def test_the_command_on_the_paper_is_the_one_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs/key.md").read_text()
    assert all(line in text for line in paper.OPEN)


def test_an_empty_vault_is_filled_from_the_paper(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    file, identity = printed(vault, tmp_path)
    content = paper.unseal(paper.read(file.read_text(), "paper"), identity, "paper")
    empty = DoubleOfClusterSecrets()
    made, _ = key.recover(Vaults(empty), tier(), content)
    assert set(made) == {"perene-ca", "perene-restic", KEY}
    assert all(empty.secrets[name] == vault.secrets[name] for name in made)
    init.initialise(Vaults(empty), tier(), tmp_path, None)
    assert faults(empty, proofs(vault)) == {}, "the recovered key opens the sets made before"


def test_recovery_never_writes_over_a_key_and_never_beside_another_sentinel(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    file, identity = printed(vault, tmp_path)
    content = paper.unseal(paper.read(file.read_text(), "paper"), identity, "paper")
    for secrets in ({KEY: {"key": os.urandom(32)}}, {SENTINEL: {"sentinel": sentinel.seal(os.urandom(32))}}):
        other = DoubleOfClusterSecrets()
        other.secrets |= secrets
        with pytest.raises(PereneError, match="nothing was changed") as refused:
            key.recover(Vaults(other), tier(), content)
        assert refused.value.exit_code == ExitCode.NOT_PROVEN
        assert other.secrets == secrets


def test_a_rotation_keeps_the_key_before(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    first = dict(vault.secrets[KEY])
    before = proofs(vault)
    assert key.create(Vaults(vault), rotated(), tmp_path, None) == (f"{KEY}-g2", f"{SENTINEL}-g2")
    assert vault.secrets[KEY] == first
    assert vault.secrets[f"{KEY}-g2"]["key"] != first["key"]
    assert [one.fault for one in key.check(Vaults(vault), rotated(), before, None)] == [None] * 5
    file, identity = printed(vault, tmp_path, rotated())
    assert {KEY, f"{KEY}-g2"} <= set(paper.unseal(paper.read(file.read_text(), "paper"), identity, "paper"))


def test_an_earlier_key_is_never_made_and_a_wrong_one_stops_the_rotation(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    kept = vault.secrets.pop(KEY)
    with pytest.raises(PereneError, match="generation 1 is missing"):
        key.create(Vaults(vault), rotated(), tmp_path, None)
    del vault.secrets[SENTINEL]
    with pytest.raises(PereneError, match="an earlier key is never made"):
        init.initialise(Vaults(vault), rotated(), tmp_path, None)
    vault.secrets |= {KEY: {"key": kept["key"][::-1]}, SENTINEL: {"sentinel": sentinel.seal(kept["key"])}}
    with pytest.raises(PereneError, match="generation 1 is swapped"):
        key.create(Vaults(vault), rotated(), tmp_path, None)
    assert f"{KEY}-g2" not in vault.secrets


def test_a_key_goes_only_when_neither_data_nor_a_set_needs_it(vault: DoubleOfClusterSecrets, tmp_path: Path) -> None:
    key.create(Vaults(vault), rotated(), tmp_path, None)
    old, new = vault.secrets[SENTINEL]["sentinel"].hex(), vault.secrets[f"{SENTINEL}-g2"]["sentinel"].hex()
    sets = {
        "20261101T010000Z-a": KeyProof(generation=1, sentinel=old),
        "20261102T010000Z-b": KeyProof(generation=2, sentinel=new, earlier={"1": old}),
        "20261103T010000Z-c": KeyProof(generation=2, sentinel=new),
    }
    with pytest.raises(PereneError, match="data is still sealed with generation 1"):
        key.retire(Vaults(vault), rotated(), 1, {})
    with pytest.raises(PereneError, match=r"2 sets on hand .*: 20261101T010000Z-a, 20261102T010000Z-b") as refused:
        key.retire(Vaults(vault), rotated(in_use=False), 1, sets)
    assert refused.value.exit_code == ExitCode.LOSES_DATA
    assert KEY in vault.secrets
    with pytest.raises(PereneError, match="2 is no earlier generation"):
        key.retire(Vaults(vault), rotated(in_use=False), 2, {})
    assert key.retire(Vaults(vault), rotated(in_use=False), 1, {"c": sets["20261103T010000Z-c"]}) == (KEY, SENTINEL)
    assert not {KEY, SENTINEL} & set(vault.secrets)
    assert f"{KEY}-g2" in vault.secrets


def test_the_list_of_secrets_is_the_same_as_ever_before_a_rotation() -> None:
    assert {secret.name for secret in needed(rotated())} - {secret.name for secret in needed(tier())} == {f"{KEY}-g2", f"{SENTINEL}-g2"}
