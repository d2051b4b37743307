"""Refuse features that need Airflow where the core was installed without it."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec

from airflow_provider_sync.exceptions import ConfigurationError


def require_airflow(what: str, *, instead: str) -> None:
    """Check that Airflow is installed, without importing it, which would take a second.

    :param what: the feature that needs Airflow, as the subject of a sentence: ``airflow://shop``
    :param instead: a sentence that says what to do without it
    :raises ConfigurationError: where Airflow is not installed
    """
    with suppress(ModuleNotFoundError):
        if find_spec("airflow"):
            return
    raise ConfigurationError(f"{what} needs Airflow, which is not installed here. {instead}")
