"""A machine without time zones is told apart from a zone that nobody knows; PyPI's tzdata serves where the system has none."""

import zoneinfo
from collections.abc import Iterator

import pytest

from perene.contract.values import TimeOfDay


@pytest.fixture
def bare() -> Iterator[None]:
    """A machine whose system has no time zones."""
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=())
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


def test_a_slim_machine_reads_zones_from_the_package(bare: None) -> None:
    assert TimeOfDay.parse("03:00 America/Sao_Paulo").utc == "06:00"
    assert TimeOfDay.parse("03:00 US/Pacific").utc == "11:00", "also the old names"


def test_no_zones_at_all_is_not_an_unknown_zone(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo._common.load_tzdata", lambda name: (_ for _ in ()).throw(zoneinfo.ZoneInfoNotFoundError(name)))
    with pytest.raises(ValueError, match="no time zone data on this machine, so 'America/Sao_Paulo' cannot be read: pip install tzdata"):
        TimeOfDay.parse("03:00 America/Sao_Paulo")


@pytest.mark.parametrize("name", ["America/Sao_Paolo", "America", "Mars/Olympus"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not a known time zone"):
        TimeOfDay.parse(f"03:00 {name}")
