"""Plain manifests on disk: one file per object, numbered in the order in which they can be applied, the same bytes every time."""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from perene.engine.manifests import Manifest
from perene.errors import PereneError
from perene.exit_codes import ExitCode

MARK = "# perene render: "
# Plain text that one YAML reader or another takes for a number, a time, a boolean or nothing.
_AMBIGUOUS = re.compile(r"[-+.\d][\w.+:-]*|(?i:y|n|yes|no|on|off|true|false|null|~)")


class _Dumper(yaml.SafeDumper):
    """YAML that every reader reads alike: ambiguous text quoted, text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _AMBIGUOUS.fullmatch(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def text(manifest: Manifest) -> str:
    """One manifest as YAML, with the resource that declared it in the first line."""
    body = yaml.dump(dict(manifest.document), Dumper=_Dumper, sort_keys=True, default_flow_style=False, width=4096, allow_unicode=True)
    return f"{MARK}{manifest.urn}\n{body}"


def file_names(manifests: Iterable[Manifest]) -> dict[str, str]:
    """URN -> file name: `03-configmap-main-g1-config.yaml`, numbers wide enough to sort as text."""
    ordered = list(manifests)
    width = max(2, len(str(len(ordered))))
    return {
        manifest.urn: f"{number:0{width}}-{manifest.kind.lower()}-{re.sub(r'[^a-z0-9.-]', '-', manifest.name.lower())}.yaml"
        for number, manifest in enumerate(ordered, 1)
    }


def write(manifests: Iterable[Manifest], directory: Path) -> tuple[Path, ...]:
    """Write one file per manifest and remove the files of an earlier rendering that are no longer declared; other files stay.

    Raises PereneError (exit 1) when the directory cannot be written, before anything is changed when it is not a directory.
    """
    ordered = list(manifests)
    names = file_names(ordered)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob("*.yaml"):
            if old.name not in names.values() and old.read_text(encoding="utf-8", errors="replace").startswith(MARK):
                old.unlink()
        for manifest in ordered:
            (directory / names[manifest.urn]).write_text(text(manifest), encoding="utf-8")
    except OSError as failure:
        raise PereneError(
            f"cannot be written: {failure.strerror}", where=str(failure.filename or directory), exit_code=ExitCode.FAILED
        ) from None
    return tuple(directory / names[manifest.urn] for manifest in ordered)
