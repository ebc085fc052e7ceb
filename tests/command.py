"""A command of perene on a tier document, as a person gives it."""

from pathlib import Path

import pytest

from perene.cli.main import main
from perene.contract.tier import TierDocument


def perene_on(document: TierDocument, folder: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """`perene WORDS --tier`: its exit code, and all that it said. folder: takes the document."""
    (folder / "tier.json").write_text(document.to_json())
    with pytest.raises(SystemExit) as ended:
        main([*words, "--tier", str(folder / "tier.json")])
    said = capsys.readouterr()
    return int(str(ended.value.code or 0)), said.out + said.err
