"""Takes secrets out of text: those that are known, in every spelling, and what looks like one."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

MARK = "[secret]"
_LEAST = 6  # a shorter value would be found in innocent words
_NAMES = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|sslpassword|auth)"
# (pattern, what stays of it)
_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S), MARK),
    (re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+", re.I), MARK),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MARK),
    (re.compile(r"\b(?:ghp|gho|ghs|github_pat|glpat|xox[bap]|pul)[-_][0-9A-Za-z_-]{16,}"), MARK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MARK),
    (re.compile(r"(://[^\s:/@\"']+:)[^\s@\"']+(@)"), rf"\1{MARK}\2"),
    (re.compile(r"(Authorization: *(?:Bearer|Basic) +)\S+", re.I), rf"\1{MARK}"),
    # `"DB_PASSWORD": "x"`, `password: x`, `PGPASSWORD=x`, `--token x`; references such as `passwordRef: {name: ...}` stay
    (re.compile(rf"([\w.-]*{_NAMES}[\w.-]*\"?\s*[:=]\s*\"?)(?![{{\[\s\"]|null\b|true\b|false\b)[^\s\",}}]+", re.I), rf"\1{MARK}"),
    (re.compile(rf"(--[\w-]*{_NAMES}[\w-]*[= ])\S+", re.I), rf"\1{MARK}"),
    # an environment variable of a container as Kubernetes lists it
    (re.compile(rf"(\"name\": *\"[\w.-]*{_NAMES}[\w.-]*\",\s*\"value\": *\")[^\"]*", re.I), rf"\1{MARK}"),
)


def spellings(value: bytes) -> set[str]:
    """How a secret may be written: plain, base64 (whole and url-safe), hexadecimal, percent-encoded, JSON-escaped, each line of it."""
    forms = {base64.b64encode(value).decode(), base64.urlsafe_b64encode(value).decode(), value.hex(), value.hex().upper()}
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return forms
    forms |= {text, text.strip(), quote(text, safe=""), text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")}
    lines = {line for line in text.splitlines() if len(line) >= 20 and not line.startswith("-----")}
    return forms | lines | {form.rstrip("=") for form in forms}


class Mask:
    """Known secrets and the looks of unknown ones."""

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        forms = {form for value in known if len(value.strip()) >= _LEAST for form in spellings(value) if len(form) >= _LEAST}
        # the longest first: a part of it must not be replaced before the whole
        ordered = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        if self._known:
            text = self._known.sub(MARK, text)
        for pattern, stays in _LOOKS:
            text = pattern.sub(stays, text)
        return text
