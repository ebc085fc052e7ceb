"""docs/configuration.md says what the models say."""

from infra.config.model import Tier
from perene.engine import config_docs
from tests.house.stacks import ROOT


def test_the_document_is_current() -> None:
    written = (ROOT / config_docs.PATH).read_text() if (ROOT / config_docs.PATH).is_file() else ""
    assert written == config_docs.text(), "infra/config changed. Write it anew: python -m perene.engine.config_docs"


def test_every_field_says_what_it_is_and_what_it_holds() -> None:
    document = config_docs.text()
    rows = [line for line in document.splitlines() if line.startswith("| `")]
    empty = [row for row in rows if any(not cell.strip() for cell in row.replace("\\|", "").split("|")[1:-1])]
    assert not empty, f"a field without a description is a field nobody can set: {empty}"
    assert all(f"| `{field.alias}` |" in document for field in Tier.model_fields.values())


def test_ranges_units_words_and_defaults_are_told() -> None:
    document = config_docs.text()
    for told in (
        "| `days` | whole number, 1 to 35 | **required** | days of write-ahead log",
        "| `environment` | `dev`, `staging`, `prod` | **required** |",
        "| `disk` | number, above 0, below 1 |",
        "duration, like 30d, 1h, 5s",
        "size, like 20GiB or 100GB",
        "## stores.NAME, `kind: cloud-sql`",
        "| `finalBackup` | duration, like 30d, 1h, 5s | `30d` |",
    ):
        assert told in document, told
