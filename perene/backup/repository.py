"""The backup repository: restic, and nothing but restic, on a volume, S3 or GCS.

Every snapshot carries the tags `set=ID`, `store=NAME`, `part=NAME`, a fixed host (the stack) and a fixed path, so that nothing depends on
the pod that wrote it. An error is an error: an unreadable repository is never an empty list.
"""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from perene.backup import packer, packing, process
from perene.backup.arriving import Arriving
from perene.backup.tree import SET_ASIDE
from perene.errors import PereneError, together
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
CHUNK = 8 << 20


@dataclass(frozen=True)
class Snapshot:
    """One snapshot.

    time: ISO 8601; tags: `name=value` pairs as a mapping; size: bytes as read, where restic recorded it; host: the stack;
    tree: restic's hash over everything that it holds.
    """

    id: str
    time: str
    path: str
    tags: Mapping[str, str]
    size: int
    host: str = ""
    tree: str = ""


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
        compress: bool = True,
    ) -> Snapshot:
        """Store what `command` writes as the file `path`; compress: by restic. A command that fails leaves no snapshot."""
        how = ["--stdin-from-command"] if compress else ["--stdin-from-command", "--compression=off"]
        words = ["backup", *how, f"--stdin-filename={path}", *self._labels(tags), "--", *command]
        return self._backup(words, path, tags, env=env, progress=progress)

    def backup_packed(
        self,
        command: Sequence[str],
        *,
        path: str,
        tags: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Snapshot:
        """Store what `command` writes, packed, as the file `path`, which ends in `packing.SUFFIX`; the size is that before packing.

        A command that fails leaves no snapshot.
        """
        with tempfile.TemporaryDirectory(prefix="perene-") as folder:
            count = Path(folder) / "count"
            count.touch()

            def unpacked() -> int:
                return int(count.read_text(encoding="ascii") or 0)

            def told(_: int) -> None:
                if progress:
                    progress(unpacked())

            words = packing.packing(command, count)
            kept = self.backup_command(words, path=path, tags=tags, env=env, progress=told, compress=False)
            return replace(kept, size=unpacked())

    def backup_bytes(self, data: bytes, *, path: str, tags: Mapping[str, str]) -> Snapshot:
        """Store a small document as the file `path`."""
        return self.backup_chunks([data], path=path, tags=tags)

    def backup_chunks(self, chunks: Iterable[bytes], *, path: str, tags: Mapping[str, str]) -> Snapshot:
        """Store what comes in pieces as the file `path`. When their source fails there is no snapshot."""
        return self._backup(["backup", "--stdin", f"--stdin-filename={path}", *self._labels(tags)], path, tags, chunks=chunks)

    def backup_tree(self, tree: Path, *, tags: Mapping[str, str], progress: Progress | None = None) -> Snapshot:
        """Store a directory by its absolute path, with sparse files, links, owners and extended attributes."""
        words = ["backup", "--ignore-inode", f"--exclude={SET_ASIDE}", *self._labels(tags), "--", "."]
        return self._backup(words, "/", tags, cwd=tree, progress=progress)

    def snapshots(self, **tags: str) -> list[Snapshot]:
        """All snapshots with these tags, oldest first."""
        # A list needs no lock, and to make one takes as long as to open the repository again.
        listed = json.loads(self._run("snapshots", "--json", "--no-lock", *_tagged(tags)))
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

    def read_newest(self, path: str, **tags: str) -> bytes:
        """The newest small document of this path with these tags, where nobody has listed the snapshots yet.

        PereneError also when somebody thins the repository out meanwhile: nothing is locked, so that this takes no longer than the listing.
        """
        return self._run("dump", "--no-lock", *_tagged(tags), f"--path={path}", "latest", path)

    def fetch(self, snapshot: Snapshot, target: Path) -> int:
        """A stored file into a new local file, unpacked where it was packed; its size in bytes."""
        with target.open("xb") as out, self.fetching(snapshot) as arriving:
            arriving.save(out)
        return target.stat().st_size

    @contextmanager
    def fetching(self, snapshot: Snapshot) -> Iterator[Arriving]:
        """A stored file, unpacked, while it comes; whoever leaves the block before its end, ends it."""
        with ExitStack() as stack:
            stream, ended = stack.enter_context(self._dumping(snapshot.id, snapshot.path))
            ends = [ended]
            if snapshot.path.endswith(packing.SUFFIX):
                packer.roomy(stream)
                unpacker, unpacked = stack.enter_context(process.filtering(packing.UNPACK, what=packing.WHAT, stdin=stream))
                stack.callback(_stop, unpacker)
                ends.append(unpacked)
                stream.close()
                stream = cast(IO[bytes], unpacker.stdout)
            packer.roomy(stream)

            def wait() -> None:
                # Who writes into a pipe that is gone cannot say why, and who unpacks what was cut short cannot either: both are heard.
                if failures := [failure for end in ends if (failure := end())]:
                    raise together(failures)

            yield Arriving(stream.fileno(), wait)

    def read_back(self, snapshot: Snapshot) -> None:
        """Read every byte of a snapshot; restic compares each piece with its hash."""
        with Path(os.devnull).open("wb") as nowhere:
            self._run("dump", snapshot.id, "/", stdout=nowhere)

    def stream(self, snapshot: Snapshot, *, tree: bool = False) -> Iterator[bytes]:
        """A stored file in pieces of `CHUNK` bytes, or a stored directory as a tar. PereneError at the end when it could not be read."""
        words = ["--archive=tar", snapshot.id, "/"] if tree else [snapshot.id, snapshot.path]
        with self._dumping(*words) as (out, ended):
            while chunk := out.read(CHUNK):
                yield chunk
            if failure := ended():
                raise failure

    @contextmanager
    def _dumping(self, *words: str) -> Iterator[tuple[IO[bytes], Callable[[], PereneError | None]]]:
        """What `restic dump` writes, and what waits for its end and says how it failed (None: it did not). It ends with the block."""
        with process.secret_pipe(self.password()) as pipe, tempfile.TemporaryFile() as stderr:
            child = self._start(["dump", *words], pipe, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)

            def ended() -> PereneError | None:
                code = child.wait()
                stderr.seek(0)
                return self._failed("dump", code, stderr.read()) if code else None

            try:
                yield cast(IO[bytes], child.stdout), ended
            finally:
                _stop(child)

    def fetch_tree(self, snapshot: Snapshot, target: Path) -> None:
        """A stored directory into `target`, every file verified after it was written."""
        self._run("restore", snapshot.id, f"--target={target}", "--sparse", "--verify")

    def forget(self, ids: Sequence[str]) -> None:
        """Remove references; the data stays until `prune`. PereneError when one is still there: restic 0.18 ends with 0 all the same."""
        for start in range(0, len(ids), 200):
            self._run("forget", *ids[start : start + 200])
        left = set(ids) & {snapshot.id for snapshot in self.snapshots()} if ids else ()
        if left:
            raise PereneError(
                f"{len(left)} of {len(ids)} snapshots could not be removed",
                where=self.url,
                why="this identity may not delete there",
                fix="let the job that thins out do it: it alone has the right",
            )

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
        return [f"--host={self.host}", *_tagged(tags)]

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
        chunks: Iterable[bytes] | None = None,
        cwd: Path | None = None,
        progress: Progress | None = None,
    ) -> Snapshot:
        with process.secret_pipe(self.password()) as pipe, tempfile.TemporaryFile() as stderr:
            source = subprocess.DEVNULL if chunks is None else subprocess.PIPE
            extra = {"RESTIC_PROGRESS_FPS": "2", **(env or {})}
            child = self._start(["--json", *words], pipe, env=extra, stdin=source, stdout=subprocess.PIPE, stderr=stderr, cwd=cwd)
            try:
                with _fed(child, chunks or ()):
                    summary = _follow(child, progress)
                code = child.wait()
            finally:
                _stop(child)
            stderr.seek(0)
            if code or not summary.get("snapshot_id"):
                raise self._failed("backup", code or 1, stderr.read())
        return Snapshot(str(summary["snapshot_id"]), "", path, tags, int(summary["total_bytes_processed"]))

    def _start(
        self, words: Sequence[str], password: int, *, env: Mapping[str, str] | None = None, **files: Any
    ) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(self._command(words, password), env=process.environment(env), pass_fds=(password,), **files)
        except FileNotFoundError:
            raise process.tool_missing("restic") from None

    def _failed(self, word: str, code: int, stderr: bytes) -> PereneError:
        what, fix = MEANING.get(code, ("it failed", ""))
        words = _words(stderr)
        kind = ExitCode.CANNOT_TELL if code in {10, 11, 12} else ExitCode.INTERRUPTED if code == 130 else ExitCode.FAILED
        return PereneError(f"restic {word}: {what}", where=self.url, why=f"restic ended with {code}: {words}", fix=fix, exit_code=kind)


def _tagged(tags: Mapping[str, str]) -> list[str]:
    """The option for these tags, which are all wanted; nothing without any."""
    return [f"--tag={','.join(f'{name}={value}' for name, value in tags.items())}"] if tags else []


@contextmanager
def _fed(child: "subprocess.Popen[bytes]", chunks: Iterable[bytes]) -> Iterator[None]:
    """Feed the child from a thread, because it tells its progress meanwhile. A source that fails ends the child before its input ends."""
    failures: list[BaseException] = []

    def feed() -> None:
        try:
            if child.stdin:
                for chunk in chunks:
                    child.stdin.write(chunk)
                child.stdin.close()
        except BrokenPipeError:
            pass
        except BaseException as failure:  # noqa: BLE001 - it is raised again in the caller's thread
            failures.append(failure)
            child.kill()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    yield
    feeder.join()
    if failures:
        raise failures[0]


def _stop(child: "subprocess.Popen[bytes]") -> None:
    """End a child that still runs; it removes its lock when it is told to."""
    if child.poll() is None:
        child.terminate()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with suppress(OSError):
                pipe.close()


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
    return Snapshot(entry["id"], entry["time"], entry["paths"][0], tags, size, entry.get("hostname", ""), entry["tree"])
