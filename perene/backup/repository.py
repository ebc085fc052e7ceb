"""The backup repository: restic, and nothing but restic, on a volume, S3 or GCS.

Every snapshot carries the tags `set=ID`, `store=NAME`, `part=NAME`, a fixed host (the stack) and a fixed path, so that nothing depends on
the pod that wrote it. An error is an error: an unreadable repository is never an empty list.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from perene.backup import process
from perene.errors import PereneError
from perene.exit_codes import ExitCode

# restic's exit codes that say more than "failed" (restic 0.18 manual, "Exit codes").
MEANING = {
    3: ("some source data could not be read", "the snapshot is incomplete and counts as failed: look at the files named above"),
    10: ("there is no repository", "make it once with `perene repo init`; if it was there before, see docs/repository-lost.md"),
    11: ("the repository is locked by another run", "wait for the other run to end; a dead run's lock heals itself within 30 minutes"),
    12: (
        "the password does not open the repository",
        "see that the secret is the one the repository was made with; old ones are in escrow",
    ),
    130: ("it was interrupted", "run the same command again"),
}
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Snapshot:
    """One snapshot. time: ISO 8601; tags: `name=value` pairs as a mapping; size: bytes as read, where restic recorded it."""

    id: str
    time: str
    path: str
    tags: Mapping[str, str]
    size: int


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository and how to open it. url: restic's own form; password: asked for at each use, and handed over through a pipe."""

    url: str
    password: Callable[[], bytes]
    host: str
    cache: Path | None = None
    retry_lock: str = "5m"
    options: tuple[str, ...] = field(default=())

    def init(self) -> None:
        """Make the repository. PereneError when there is one already."""
        self._run("init", "--repository-version=2")

    def backup_command(
        self,
        command: Sequence[str],
        *,
        path: str,
        tags: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Snapshot:
        """Store what `command` writes as the file `path`. A command that fails leaves no snapshot."""
        words = ["backup", "--stdin-from-command", f"--stdin-filename={path}", *self._labels(tags), "--", *command]
        return self._backup(words, path, tags, env=env, progress=progress)

    def backup_bytes(self, data: bytes, *, path: str, tags: Mapping[str, str]) -> Snapshot:
        """Store a small document as the file `path`."""
        return self._backup(["backup", "--stdin", f"--stdin-filename={path}", *self._labels(tags)], path, tags, data=data)

    def backup_stream(self, stream: IO[bytes], *, path: str, tags: Mapping[str, str]) -> Snapshot:
        """Store what an open file gives as the file `path`."""
        return self._backup(["backup", "--stdin", f"--stdin-filename={path}", *self._labels(tags)], path, tags, stream=stream)

    def backup_tree(self, tree: Path, *, tags: Mapping[str, str], progress: Progress | None = None) -> Snapshot:
        """Store a directory by its absolute path, with sparse files, links, owners and extended attributes."""
        words = ["backup", "--ignore-inode", *self._labels(tags), "--", "."]
        return self._backup(words, "/", tags, cwd=tree, progress=progress)

    def snapshots(self, **tags: str) -> list[Snapshot]:
        """All snapshots with these tags, oldest first."""
        wanted = [f"--tag={','.join(f'{name}={value}' for name, value in tags.items())}"] if tags else []
        listed = json.loads(self._run("snapshots", "--json", *wanted))
        return sorted((_snapshot(entry) for entry in listed or []), key=lambda snapshot: (snapshot.time, snapshot.id))

    def find(self, path: str, **tags: str) -> Snapshot:
        """The newest snapshot of a path with these tags. PereneError (exit 3) when there is none."""
        found = [snapshot for snapshot in self.snapshots(**tags) if snapshot.path == path]
        if not found:
            raise PereneError(
                f"{path} of {', '.join(tags.values())} is not in the repository", where=self.url, exit_code=ExitCode.CANNOT_TELL
            )
        return found[-1]

    def read(self, snapshot: Snapshot) -> bytes:
        """A small document as bytes."""
        return self._run("dump", snapshot.id, snapshot.path)

    def fetch(self, snapshot: Snapshot, target: Path) -> int:
        """A stored file into a new local file; its size in bytes."""
        with target.open("xb") as out:
            self._run("dump", snapshot.id, snapshot.path, stdout=out)
        return target.stat().st_size

    def fetch_tree(self, snapshot: Snapshot, target: Path) -> None:
        """A stored directory into `target`, every file verified after it was written."""
        self._run("restore", snapshot.id, f"--target={target}", "--sparse", "--verify")

    def forget(self, ids: Sequence[str]) -> None:
        """Remove references; the data stays until `prune`."""
        for start in range(0, len(ids), 200):
            self._run("forget", *ids[start : start + 200])

    def prune(self) -> None:
        """Free what nothing refers to. Takes the exclusive lock."""
        self._run("prune", "--max-unused=10%")

    def unlock(self) -> int:
        """Remove locks that restic itself calls stale; how many there were."""
        words = self._run("unlock").decode().split()
        return int(words[words.index("removed") + 1]) if "removed" in words else 0

    def check(self, subset: str = "") -> None:
        """Verify the structure, and with `subset` (`5%`, `1/7`) read that much of the data."""
        self._run("check", *([f"--read-data-subset={subset}"] if subset else []))

    def stored_bytes(self) -> int:
        """Bytes that the repository takes."""
        return int(json.loads(self._run("stats", "--mode=raw-data", "--json"))["total_size"])

    def _labels(self, tags: Mapping[str, str]) -> list[str]:
        return [f"--host={self.host}", f"--tag={','.join(f'{name}={value}' for name, value in tags.items())}"]

    def _command(self, words: Sequence[str], password: int) -> list[str]:
        cache = [f"--cache-dir={self.cache}"] if self.cache else ["--no-cache"]
        common = [f"--repo={self.url}", f"--password-file=/dev/fd/{password}", f"--retry-lock={self.retry_lock}", *cache, *self.options]
        return ["restic", *common, *words]

    def _run(self, *words: str, stdout: IO[bytes] | None = None) -> bytes:
        with process.secret_pipe(self.password()) as pipe:
            try:
                done = subprocess.run(
                    self._command(words, pipe),
                    env=process.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout or subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(pipe,),
                    check=False,
                )
            except FileNotFoundError:
                raise process.tool_missing("restic") from None
        if done.returncode:
            raise self._failed(words[0], done.returncode, done.stderr)
        return done.stdout or b""

    def _backup(
        self,
        words: Sequence[str],
        path: str,
        tags: Mapping[str, str],
        *,
        env: Mapping[str, str] | None = None,
        data: bytes | None = None,
        stream: IO[bytes] | None = None,
        cwd: Path | None = None,
        progress: Progress | None = None,
    ) -> Snapshot:
        with process.secret_pipe(self.password()) as pipe, tempfile.TemporaryFile() as stderr:
            source = subprocess.PIPE if data is not None else stream or subprocess.DEVNULL
            try:
                child = subprocess.Popen(
                    self._command(["--json", *words], pipe),
                    env=process.environment({"RESTIC_PROGRESS_FPS": "2", **(env or {})}),
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    pass_fds=(pipe,),
                    cwd=cwd,
                )
            except FileNotFoundError:
                raise process.tool_missing("restic") from None
            try:
                if data is not None and child.stdin:
                    child.stdin.write(data)
                    child.stdin.close()
                summary = _follow(child, progress)
                code = child.wait()
            except BaseException:
                child.terminate()
                child.wait()
                raise
            stderr.seek(0)
            if code or not summary.get("snapshot_id"):
                raise self._failed("backup", code or 1, stderr.read())
        return Snapshot(str(summary["snapshot_id"]), "", path, tags, int(summary["total_bytes_processed"]))

    def _failed(self, word: str, code: int, stderr: bytes) -> PereneError:
        what, fix = MEANING.get(code, ("it failed", ""))
        words = _words(stderr)
        kind = ExitCode.CANNOT_TELL if code in {10, 11, 12} else ExitCode.INTERRUPTED if code == 130 else ExitCode.FAILED
        return PereneError(f"restic {word}: {what}", where=self.url, why=f"restic ended with {code}: {words}", fix=fix, exit_code=kind)


def _follow(child: "subprocess.Popen[bytes]", progress: Progress | None) -> dict[str, Any]:
    """Read restic's JSON lines to the end; the summary (empty when there was none)."""
    summary: dict[str, Any] = {}
    for line in child.stdout or ():
        message = json.loads(line) if line.startswith(b"{") else {}
        if message.get("message_type") == "summary":
            summary = message
        elif message.get("message_type") == "status" and progress:
            progress(int(message.get("bytes_done", 0)))
    return summary


def _words(stderr: bytes) -> str:
    """The readable part of what restic said: JSON messages reduced to their text."""
    lines = []
    for line in stderr.decode(errors="replace").splitlines():
        try:
            message = json.loads(line)
            lines.append(str(message.get("error", {}).get("message") or message.get("message") or line))
        except (ValueError, AttributeError):
            lines.append(line)
    return " / ".join(filter(None, lines))[-2000:]


def _snapshot(entry: dict[str, Any]) -> Snapshot:
    tags = dict(tag.split("=", 1) for tag in entry.get("tags") or () if "=" in tag)
    size = entry.get("summary", {}).get("total_bytes_processed", 0)
    return Snapshot(entry["id"], entry["time"], entry["paths"][0], tags, size)
