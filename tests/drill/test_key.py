"""Which key a drill asks for: those of the generations that the set names, and each fault by its name."""

import io
import tempfile
from pathlib import Path

import pytest

import perene.cli.drill
from perene.backup import sets
from perene.backup.progress import Stages
from perene.backup.run import make_set
from perene.cli.main import main
from perene.contract.tier import EncryptionKey, KeyGeneration, SecretRef, TierDocument
from perene.custody import resolve, sentinel
from perene.drill.run import closed_keys, drill
from perene.exit_codes import ExitCode
from tests.backup.tiers import tier
from tests.programs import needs
from tests.quick_key import new_repository
from tests.safety.keys import make_key

pytestmark = [needs("postgres", "restic", "zstd"), pytest.mark.slow]


def with_key(document: TierDocument, generation: int, *earlier: tuple[int, bool]) -> TierDocument:
    """The tier with a key whose generations are Secrets named by their numbers."""

    def one(number: int, *, in_use: bool = True) -> KeyGeneration:
        key, sealed = (SecretRef(vault="kubernetes", scope="test", name=f"{kind}-{number}", key="value") for kind in ("key", "sentinel"))
        return KeyGeneration(ref=key, sentinel=sealed, in_use=in_use)

    key = EncryptionKey(
        kind="kubernetes",
        ref=one(generation).ref,
        sentinel=one(generation).sentinel,
        generation=generation,
        earlier={str(number): one(number, in_use=used) for number, used in earlier},
    )
    return document.model_copy(update={"encryption_key": key})


def test_the_drill_opens_each_set_with_the_keys_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {number: bytes([number]) * 32 for number in (1, 2)}
    sealed = {f"sentinel-{number}": sentinel.seal(key) for number, key in keys.items()}
    monkeypatch.setattr("perene.backup.run.resolve", lambda ref: sealed[ref.name])
    monkeypatch.setattr(resolve, "resolve", lambda ref: keys[int(ref.name.removeprefix("key-"))])
    quiet = Stages(io.StringIO(), live=False)
    repository = new_repository(tmp_path / "repository")
    bare = tier(repository.url)
    first, both, later = with_key(bare, 1), with_key(bare, 2, (1, True)), with_key(bare, 2, (1, False))
    made = [make_set(document, repository, stages=quiet, with_canary=False) for document in (first, both, later)]
    assert [sorted(one.key.sentinels) for one in made if one.key] == [[1], [1, 2], [2]]
    assert {name: sorted(proof.sentinels) for name, proof in sets.keys_needed(repository).items()} == dict(
        zip([one.id for one in made], [[1], [1, 2], [2]], strict=True)
    )

    def reasons(document: TierDocument, of: int) -> list[str]:
        key, proof = document.encryption_key, made[of].key
        assert key
        assert proof
        return closed_keys(proof.sentinels, lambda number: resolve.key_of(key, number))

    assert [reasons(later, of) for of in range(3)] == [[], [], []]
    assert "missing: the tier does not declare it" in reasons(with_key(bare, 2), 0)[0]
    record = drill(
        later,
        repository,
        set_id=made[0].id,
        key=lambda _: bytes(32),
        signing_key=None,
        work=tmp_path,
        stages=quiet,
    )
    assert record.key_opened is False
    assert [reason for reason in record.reasons if "(generation 1) is another one than sealed the set" in reason]
    keys[1] = bytes(32)
    assert "(generation 1) is another one than sealed the set" in reasons(later, 1)[0]
    keys[1] = b"short"
    assert "wrong length: 5 bytes" in reasons(later, 0)[0]
    keys[1], keys[2] = bytes([1]) * 32, bytes(32)
    assert ["(generation 2)" in reason for reason in reasons(later, 1)] == [True], "each key that the set names is asked for"


def test_a_whole_drill_with_another_key_fails_by_that_name_and_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the job runs it: the set comes back whole, and what the application sealed in it could not be read."""
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "letter").write_text("dear")
    repository, signing_key = new_repository(tmp_path / "repository"), make_key(tmp_path / "keys", "test")
    right, other = bytes([1]) * 32, bytes([2]) * 32
    vault = {"key-1": other, "signing": signing_key}
    monkeypatch.setattr("perene.backup.run.resolve", lambda _: sentinel.seal(right))
    monkeypatch.setattr(resolve, "resolve", lambda ref: vault[ref.name])
    monkeypatch.setattr(perene.cli.drill, "resolve", lambda ref: vault[ref.name])
    monkeypatch.setattr(perene.cli.drill, "open_repository", lambda *_, **__: repository)
    signing = SecretRef(vault="kubernetes", scope="test", name="signing", key="key")
    document = with_key(tier(repository.url, files=tmp_path / "uploads"), 1).model_copy(update={"signing": signing})
    made = make_set(document, repository, stages=Stages(io.StringIO(), live=False))
    (tmp_path / "tier.json").write_text(document.to_json())
    public = (tmp_path / "keys" / "test.pub").read_text()

    def drilled() -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["drill", "--tier", str(tmp_path / "tier.json"), "--work", str(work)])
        return int(str(ended.value.code or 0)), capsys.readouterr().out

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        work.chmod(0o755)
        code, said = drilled()
        assert code == ExitCode.NOT_PROVEN
        assert f"drill of {made.id}: failed" in said
        reasons = [line for line in said.splitlines()[1:] if "damage on purpose" not in line]
        assert len(reasons) == 1, "that and nothing else: the files came back"
        assert "the encryption key (generation 1) is another one than sealed the set" in reasons[0]
        assert "what the application sealed cannot be read" in reasons[0]
        assert right.hex() not in said
        assert other.hex() not in said
        assert [one.proven for one in sets.on_hand(repository.snapshots(), public)] == [False]
        vault["key-1"] = right
        code, said = drilled()
        assert (code, f"drill of {made.id}: passed" in said) == (ExitCode.DONE, True), said
        assert [one.proven for one in sets.on_hand(repository.snapshots(), public)] == [True]
