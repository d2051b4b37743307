"""Read the section ``[sync]`` of Airflow's configuration. Defaults and descriptions are in the provider's metadata."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from airflow.providers.common.compat.sdk import conf

from airflow_provider_sync.config.options import MAX_DAYS
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.provider_info import get_provider_info

SECTION = "sync"

_Days = Annotated[int, msgspec.Meta(ge=1, le=MAX_DAYS)]


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation sets for all its syncs.

    :ivar server_config: path of the ``server.yaml`` that the API server offers; ``None`` when it offers nothing
    :ivar server_prefix: path of the API server below which it offers it
    :ivar server_airflow_tokens: whether it also accepts Airflow's own tokens, of users who may read connections
    :ivar history: where the records of syncs are kept: a database URL, or ``airflow://CONN_ID``
    :ivar history_days: days after which they are removed
    :ivar cache: where the digests of files are remembered: a path, ``False`` for nowhere, ``None`` for the default
    """

    server_config: str | None
    server_prefix: str
    server_airflow_tokens: bool
    history: str
    history_days: int
    cache: str | Literal[False] | None


def read_settings() -> Settings:
    """Read the section; the default history is a file in Airflow's home.

    :raises ConfigurationError: naming the option that has a wrong value
    """
    return Settings(
        server_config=_option("server_config") or None,
        server_prefix=_option("server_prefix"),
        server_airflow_tokens=_converted("server_airflow_tokens", bool, "True or False"),
        history=_option("history") or f"sqlite:///{_airflow_home()}/sync-history.db",
        history_days=_converted("history_days", _Days, f"a whole number of days from 1 to {MAX_DAYS}"),
        cache=cache_setting(),
    )


def cache_setting() -> str | Literal[False] | None:
    """Return :attr:`Settings.cache` alone."""
    given = _option("cache").strip()
    return False if given.lower() == "false" else given or None


def _option(name: str) -> str:
    # Airflow 3.1 knows the defaults of providers only in some of its processes.
    default = get_provider_info()["config"][SECTION]["options"][name]["default"]
    return str(conf.get(SECTION, name, fallback=default))


def _converted(name: str, kind: Any, wanted: str) -> Any:
    value = _option(name)
    try:
        return msgspec.convert(value.strip(), kind, strict=False)
    except msgspec.ValidationError:
        raise ConfigurationError(f"[{SECTION}] {name} is {value!r} in Airflow's configuration. Give {wanted}.") from None


def _airflow_home() -> Path:
    # The same rule as Airflow's own, which only an internal module of Airflow offers.
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
