"""One table of exit codes, documented everywhere the same."""

from perene.cli.main import usage
from perene.exit_codes import MEANING, ExitCode


def test_every_code_has_a_meaning_and_is_listed_by_help() -> None:
    assert set(MEANING) == set(ExitCode)
    text = usage()
    assert all(f"{int(code):>3}  {meaning}" in text for code, meaning in MEANING.items())
