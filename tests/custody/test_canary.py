"""The key passes from the system's generator into the vault and is seen nowhere else: no file, log, output, argument, environment.

`kubectl` is a double: it keeps what it is sent and notes what any process could see of all processes at that moment.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
KUBECTL = """#!{python}
import json, pathlib, sys

vault, seen = pathlib.Path({vault!r}), pathlib.Path({seen!r})
words = sys.argv[1:]
for process in pathlib.Path("/proc").glob("[0-9]*"):
    for part in ("cmdline", "environ"):
        try:
            with seen.open("ab") as file:
                file.write((process / part).read_bytes() + b"\\n")
        except OSError:
            pass
if "create" in words:
    made = json.load(sys.stdin)
    path = vault / (made["kind"] + "-" + made["metadata"]["name"])
    if path.exists():
        sys.exit("AlreadyExists")
    path.write_text(json.dumps(made))
elif "/readyz" in words:
    print("ok")
elif "get" in words and "secrets" in words:
    print(json.dumps({{"kind": "List", "items": [json.loads(path.read_text()) for path in vault.glob("Secret-*")]}}))
elif "get" in words and "persistentvolumeclaims" in words:
    print(json.dumps({{"kind": "List", "items": []}}))
elif "get" in words and "namespace" in words:
    print(json.dumps({{"kind": "Namespace"}}))
elif "config" in words:
    print(json.dumps({{"clusters": [], "contexts": [], "users": []}}))
else:
    sys.exit("the double of kubectl does not know: " + " ".join(words))
"""


def forms(key: bytes) -> dict[str, bytes]:
    """What the key could look like. Base64 at each of the three offsets, without the letters that depend on what stands around."""
    shifted = {f"base64 at {n}": base64.b64encode(b"\0" * n + key)[4 * bool(n) : -4] for n in range(3)}
    return {"bytes": key, "hexadecimal": key.hex().encode(), "python": repr(key)[2:-1].encode(), **shifted}


def found_in(place: Path, key: bytes) -> list[str]:
    """Files and forms."""
    files = [path for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()]
    return [f"{path}: {form}" for path in files for form, value in forms(key).items() if value in path.read_bytes()]


def test_the_search_finds_a_key_in_every_form(tmp_path: Path) -> None:
    key = os.urandom(32)
    hidden = (
        key,
        key.hex(),
        base64.b64encode(b"a" + key + b"bcd"),
        base64.b64encode(b"ab" + key + b"cd"),
        base64.b64encode(key),
        repr(key),
    )
    for at, text in enumerate(hidden):
        (tmp_path / str(at)).write_bytes(b"log: " + (text.encode() if isinstance(text, str) else text))
    assert len({line.split(":")[0] for line in found_in(tmp_path, key)}) == len(hidden)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own, with the double of kubectl first on PATH."""
    for folder in ("vault", "bin", "home", "temporary"):
        (tmp_path / folder).mkdir()
    program = tmp_path / "bin/kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, vault=str(tmp_path / "vault"), seen=str(tmp_path / "seen")))
    program.chmod(0o755)
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py", "infra", "examples"):
        (root / name).symlink_to(ROOT / name)
    return root


def test_a_run_shows_the_key_to_nobody(checkout: Path) -> None:
    base = checkout.parent
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    environment = {
        "PATH": f"{base / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "temporary"),
        "KUBECONFIG": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    said = base / "said"
    for words in (("create", "dev", "--escrow", recipient), ("escrow", "dev", "--escrow", recipient), ("check", "dev")):
        command = [sys.executable, "-m", "perene", "key", *words, "--context", "double"]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=False)
        with said.open("ab") as file:
            file.write(done.stdout + done.stderr)
        assert done.returncode == (3 if words[0] == "check" else 0), done.stderr.decode()
    kept = json.loads((base / "vault/Secret-perene-encryption-key").read_text())
    key = base64.b64decode(kept["data"]["key"])
    assert len(key) == 32
    assert (base / "seen").stat().st_size > 10_000, "the double looked at the processes"
    assert (checkout / ".perene/escrow/dev-paper.txt").exists()
    for place in (said, base / "seen", checkout / ".perene", base / "home", base / "temporary"):
        assert not found_in(place, key)
    rendered = [sys.executable, "-m", "perene", "render", "dev", str(base / "rendered")]
    subprocess.run(rendered, cwd=checkout, env=environment, capture_output=True, check=True)
    assert list((base / "rendered").rglob("*"))
    assert not found_in(base / "rendered", key), "the program knows a reference only"
