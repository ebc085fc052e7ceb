"""The escrow on paper: what opens every recovery set, sealed to an offline age recipient, as text that a person can print and type.

One line is `NUMBER CHECK GROUPS`: groups of five letters in base32 (A-Z, 2-7), and a check word over number and groups that names the
line in which a letter is wrong. Base32, gzip and age are all it takes to open it (docs/key.md), so it outlives this program.
"""

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyrage

from perene.custody import escrow
from perene.custody.material import Content
from perene.custody.needed import Purpose
from perene.errors import PereneError, Problem
from perene.exit_codes import ExitCode

# Without these no set opens, or nothing that is in it; passwords of databases and certificates of servers can be made anew.
PURPOSES: tuple[Purpose, ...] = ("encryption-key", "repository", "ca")
GROUP, GROUPS = 5, 12
# age libraries put a stanza of random length into the header, so that readers stay tolerant: the shortest is least to type.
TRIES = 12
_LINE = re.compile(r"\s*(\d{1,3})\s+([a-z]{5})\s+([A-Za-z0-9= ]+?)\s*")
_FINGERPRINT = re.compile(r"fingerprint (\S+) ([0-9a-f]{16})")
_WHOLE = re.compile(r"whole: (\d+) lines, ([a-z-]+)")
_LOOKS_LIKE = str.maketrans("018", "OIB")
_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aiou"
OPEN = (
    "grep -E '^[0-9]+ [a-z]{5} ' PAPER | sort -n | cut -d' ' -f3- | tr -d ' \\n' | base32 -d | age -d -i IDENTITY | gunzip",
    "... | awk '$1 == \"SECRET\" {print $3}' | base64 -d",
)


@dataclass(frozen=True)
class Paper:
    """A text that was read. fingerprints: secret -> as printed in the open; sealed: the age file."""

    fingerprints: Mapping[str, str]
    sealed: bytes


def write(stack: str, recipient: str, secrets: Mapping[str, Content], today: date) -> str:
    """Seal name -> content to the recipient; the text to print."""
    listed = [
        f"{name} {key or '-'} {base64.b64encode(value).decode()}"
        for name, content in sorted(secrets.items())
        for key, value in sorted(content.items())
    ]
    plain = gzip.compress("\n".join(["# secret, its key, its value in base64", *listed, ""]).encode(), mtime=0)
    to = [escrow.parse_recipient(recipient)]
    sealed = min((pyrage.encrypt(plain, to) for _ in range(TRIES)), key=len)
    letters = base64.b32encode(sealed).decode()
    groups = [letters[at : at + GROUP] for at in range(0, len(letters), GROUP)]
    lines = [" ".join(groups[at : at + GROUPS]) for at in range(0, len(groups), GROUPS)]
    return "\n".join(
        [
            f"perene escrow of {stack}, {today.isoformat()}, sealed to {recipient.strip()}",
            *(f"fingerprint {name} {fingerprint(content)}" for name, content in sorted(secrets.items())),
            f"whole: {len(lines)} lines, {_words(sealed)}",
            *(f"{number:02d} {_check(number, line)} {line}" for number, line in enumerate(lines, 1)),
            "Open it where the identity is:",
            *OPEN,
            "",
        ]
    )


def read(text: str, where: str) -> Paper:
    """Read a printed or typed text. PereneError (exit 6) names every line that is missing or does not agree with its check word."""
    lines: dict[int, str] = {}
    problems = []
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        number, groups = int(match[1]), " ".join(match[3].upper().translate(_LOOKS_LIKE).split())
        if _check(number, groups) != match[2]:
            problems.append(Problem(what=f"line {number:02d} does not agree with its check word {match[2]!r}", where=where))
        lines[number] = groups
    whole = _WHOLE.search(text)
    count = int(whole[1]) if whole else max(lines, default=0)
    missing = [f"{number:02d}" for number in range(1, count + 1) if number not in lines]
    problems += [Problem(what=f"lines are missing: {', '.join(missing)}", where=where)] if missing else []
    if not whole:
        problems.append(Problem(what="is no escrow on paper: the line `whole: ...` is missing", where=where))
    if problems:
        raise PereneError(problems=problems, exit_code=ExitCode.NOT_PROVEN)
    try:
        sealed = base64.b32decode("".join(lines[number] for number in sorted(lines)).replace(" ", ""))
    except ValueError:
        sealed = b""
    if whole and _words(sealed) != whole[2]:
        raise PereneError("the text as a whole does not agree with its line `whole: ...`", where=where, exit_code=ExitCode.NOT_PROVEN)
    return Paper(dict(_FINGERPRINT.findall(text)), sealed)


def unseal(paper: Paper, identity: Path, where: str) -> dict[str, Content]:
    """Open it with an age identity: name -> content. PereneError (exit 6) when it does not open, or holds what it does not say."""
    found: dict[str, Content] = {}
    for line in gzip.decompress(escrow.unseal(paper.sealed, identity, where)).decode().splitlines():
        if not line.startswith("#"):
            name, key, value = line.split(" ")
            found.setdefault(name, {})["" if key == "-" else key] = base64.b64decode(value)
    inside = {name: fingerprint(content) for name, content in found.items()}
    if inside != paper.fingerprints:
        raise PereneError(
            "the fingerprints that stand in the open are not those of what is sealed",
            where=where,
            why="somebody changed the open part, or put another seal under it",
            exit_code=ExitCode.NOT_PROVEN,
        )
    return found


def fingerprint(content: Content) -> str:
    """Sixteen hexadecimal digits over a secret's values; for a single value the same as perene.custody.sentinel.fingerprint."""
    return hashlib.sha256(b"\0".join(value for _, value in sorted(content.items()))).hexdigest()[:16]


def _check(number: int, groups: str) -> str:
    return _word(hashlib.sha256(f"{number} {groups}".encode()).digest())


def _words(sealed: bytes) -> str:
    digest = hashlib.sha256(sealed).digest()
    return "-".join(_word(digest[at : at + 2]) for at in range(0, 8, 2))


def _word(digest: Iterable[int]) -> str:
    """The first sixteen bits as a word that can be said aloud (a proquint, arXiv:0901.4016)."""
    high, low, *_ = digest
    bits = high << 8 | low
    return "".join(
        letters[bits >> shift & (len(letters) - 1)]
        for letters, shift in ((_CONSONANTS, 12), (_VOWELS, 10), (_CONSONANTS, 6), (_VOWELS, 4), (_CONSONANTS, 0))
    )
