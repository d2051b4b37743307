"""Determine the path of the digest cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from airflow_provider_sync.config.options import wrong_value


def _cache(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() in ("false", "no", "off"):
        return False
    if value is not None and value is not False and (not isinstance(value, str) or not value):
        raise wrong_value(f"cache is {value!r}. Give the path of a file, or false for none.")
    return value


Cache = Annotated[
    str | Literal[False] | None,
    BeforeValidator(_cache),
    Field(
        description="File that remembers the digests of files, so that only changed ones are read again; `false` for none."
        " Otherwise `airflow-provider-sync/digests.sqlite` in the user's folder for caches."
    ),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"const": False}, {"type": "null"}]}),
]


def cache_path(cache: str | Literal[False] | None) -> str | None:
    """Return the path of the cache for an option's value; ``None`` for no cache.

    :param cache: a path, ``False`` for none, ``None`` for the default
    """
    if cache is False:
        return None
    if cache is not None:
        return cache
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    folder = Path(base) if base.startswith("/") else Path("~/.cache")
    return str(folder / "airflow-provider-sync" / "digests.sqlite")
