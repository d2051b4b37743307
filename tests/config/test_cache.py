"""Where the cache of digests is."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config import ClientConfig, ServerConfig, cache_path
from airflow_provider_sync.exceptions import ConfigurationError


def client(**options: object) -> ClientConfig:
    """A configuration with these options."""
    return ClientConfig.from_dict({"url": "http://source", **options})


def test_a_path() -> None:
    """Either half can be given a file."""
    assert cache_path(client(cache="/var/cache/digests").cache) == "/var/cache/digests"
    assert cache_path(ServerConfig.from_dict({"cache": "/var/cache/digests"}).cache) == "/var/cache/digests"


@pytest.mark.parametrize("value", [False, "false", "No", " off "])
def test_none(value: object) -> None:
    """With `false`, also as text from a variable, there is no cache."""
    assert cache_path(client(cache=value).cache) is None


def test_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default is in the user's folder for caches, by the XDG specification."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_path(client().cache) == str(tmp_path / "airflow-provider-sync" / "digests.sqlite")
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_path(client().cache) == "~/.cache/airflow-provider-sync/digests.sqlite"


@pytest.mark.parametrize("value", [True, "", 7])
def test_what_is_no_path(value: object) -> None:
    """A value that is not a path is refused with the allowed values."""
    with pytest.raises(ConfigurationError, match="cache"):
        client(cache=value)
