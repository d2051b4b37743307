"""Texts of instants turned from one time zone into another."""

from __future__ import annotations

from datetime import UTC as DATETIME_UTC
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.time_zones import UTC, NoSuchTimeError, checked_time_zone, time_zone_named

BERLIN = time_zone_named("Europe/Berlin")


@pytest.mark.parametrize(
    ("zone", "utc", "local"),
    [
        ("+01:00", "2024-07-01 11:00:00", "2024-07-01 12:00:00"),
        ("-03:30", "2024-01-01 02:00:00.125000", "2023-12-31 22:30:00.125000"),
        ("Europe/Berlin", "2024-07-01 10:00:00", "2024-07-01 12:00:00"),
        ("Europe/Berlin", "2024-12-01 11:00:00.5", "2024-12-01 12:00:00.5"),
        ("Africa/Monrovia", "1971-01-01 12:00:10", "1971-01-01 11:15:40"),
        ("+01:00", "9999-12-31 23:59:59.999999", "10000-01-01 00:59:59.999999"),
        ("Europe/Berlin", "12345-07-01 10:00:00", "12345-07-01 12:00:00"),
    ],
)
def test_texts_go_there_and_back(zone: str, utc: str, local: str) -> None:
    """A UTC text converts to the clock time of a zone and back, with fractions, in any year."""
    assert time_zone_named(zone).from_utc([utc]) == [local]
    assert time_zone_named(zone).to_utc([local]) == ([utc], 0)


@pytest.mark.parametrize(
    "text", ["0000-00-00 00:00:00", "2024-02-31 10:00:00", "infinity", "0044-03-15 12:00:00 BC", "", None, b"x"]
)
def test_what_is_no_instant_stays(text: object) -> None:
    """NULL, zero dates and texts that are no date stay unchanged."""
    assert BERLIN.from_utc([text]) == [text]
    assert BERLIN.to_utc([text]) == ([text], 0)


def test_a_date_alone_is_its_midnight() -> None:
    """A date without a time, and one with a T, are read as databases read them."""
    assert BERLIN.to_utc(["2024-07-01", "2024-07-01T12:00:00"]) == (["2024-06-30 22:00:00", "2024-07-01 10:00:00"], 0)


def test_the_hour_that_comes_twice() -> None:
    """A clock time that exists twice in a zone is read as the first one and counted."""
    assert BERLIN.from_utc(["2024-10-27 00:30:00", "2024-10-27 01:30:00"]) == ["2024-10-27 02:30:00"] * 2
    assert BERLIN.to_utc(["2024-10-27 02:30:00", "2024-10-27 03:30:00"]) == (["2024-10-27 00:30:00", "2024-10-27 02:30:00"], 1)


def test_the_hour_that_is_skipped() -> None:
    """A clock time that the zone skips is an error that names the option `time_zone`."""
    with pytest.raises(NoSuchTimeError, match="Set time_zone"):
        BERLIN.to_utc(["2024-03-31 02:30:00"])


@given(
    moment=st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2037, 12, 31)),  # in UTC
    name=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Caracas"]),
)
def test_clock_times_are_those_of_the_time_zone_database(moment: datetime, name: str) -> None:
    """Every moment has the clock time of zoneinfo and converts back, except for times that exist twice."""
    utc = f"{moment:%Y-%m-%d %H:%M:%S}"
    local = f"{moment.replace(tzinfo=DATETIME_UTC).astimezone(ZoneInfo(name)):%Y-%m-%d %H:%M:%S}"
    zone = time_zone_named(name)
    assert zone.from_utc([utc]) == [local]
    back, repeated = zone.to_utc([local])
    assert back == [utc] or repeated


@pytest.mark.parametrize(
    ("given_as", "name"),
    [
        ("+01:00", "+01:00"),
        ("+1:00", "+01:00"),
        ("-00:00", "+00:00"),
        (600, "+10:00"),
        (-210, "-03:30"),
        ("Etc/UTC", "UTC"),
        (None, None),
    ],
)
def test_how_time_zones_are_written(given_as: str | int | None, name: str | None) -> None:
    """Offsets, IANA names and the number that YAML makes of an unquoted offset are read."""
    assert checked_time_zone(given_as) == name


def test_other_texts_are_refused() -> None:
    """Client and server refuse every other text with the name of the option."""
    for wrong in ("SYSTEM", "+15:00", "+01:60", "Europe/Atlantis", "../etc/passwd", "", 900):
        for build in (ClientConfig.from_dict, ServerConfig.from_dict):
            with pytest.raises(ConfigurationError, match="time_zone is"):
                build(
                    {"url": "https://source.example", "time_zone": wrong}
                    if build == ClientConfig.from_dict
                    else {"time_zone": wrong}
                )


def test_utc_is_utc() -> None:
    """All spellings of a zone without an offset are the same zone."""
    assert UTC == time_zone_named("+00:00") == time_zone_named("GMT")
    assert UTC.is_utc
    assert not BERLIN.is_utc
