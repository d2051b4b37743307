"""What an installation sets for all its syncs."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from airflow_provider_sync.airflow_support.settings import SECTION, Settings, read_settings
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.provider_info import get_provider_info


def test_defaults() -> None:
    """By default there is no server inside Airflow, and the history is a file in Airflow's home."""
    home = os.environ["AIRFLOW_HOME"]
    assert read_settings() == Settings(None, "/sync", False, f"sqlite:///{home}/sync-history.db", 90, None)


def test_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option can be set like any option of Airflow."""
    monkeypatch.setenv("AIRFLOW__SYNC__SERVER_CONFIG", "/etc/server.yaml")
    monkeypatch.setenv("AIRFLOW__SYNC__SERVER_PREFIX", "/data")
    monkeypatch.setenv("AIRFLOW__SYNC__SERVER_AIRFLOW_TOKENS", "True")
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", "airflow://history")
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY_DAYS", "7")
    monkeypatch.setenv("AIRFLOW__SYNC__CACHE", "/var/cache/digests")
    assert read_settings() == Settings("/etc/server.yaml", "/data", True, "airflow://history", 7, "/var/cache/digests")


def test_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of digests can be switched off."""
    monkeypatch.setenv("AIRFLOW__SYNC__CACHE", "False")
    assert read_settings().cache is False


@pytest.mark.parametrize(("option", "wanted"), [("HISTORY_DAYS", "a whole number"), ("SERVER_AIRFLOW_TOKENS", "True or False")])
def test_options_that_cannot_be_meant(monkeypatch: pytest.MonkeyPatch, option: str, wanted: str) -> None:
    """A value of the wrong type is an error that names the option and the allowed values."""
    monkeypatch.setenv(f"AIRFLOW__SYNC__{option}", "a while")
    with pytest.raises(ConfigurationError, match=f"{option.lower()} is 'a while'.*Give {wanted}"):
        read_settings()


@pytest.mark.parametrize("days", ["0", "-1", "40000"])
def test_days_beyond_the_bounds(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    """Days that would remove all records, or that no date has, are an error."""
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY_DAYS", days)
    with pytest.raises(ConfigurationError, match=f"history_days is '{days}'.*from 1 to 36500"):
        read_settings()


def test_metadata() -> None:
    """The provider's metadata describes each option that is read, and no other, with a default."""
    options = get_provider_info()["config"][SECTION]["options"]
    assert list(options) == [field.name for field in fields(Settings)]
    assert all(isinstance(option["default"], str) and option["description"] for option in options.values())
