"""What a ``client.yaml`` that cannot be used says it syncs, so that the failure can be recorded under these names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from airflow_provider_sync.config.options import MAX_DAYS
from airflow_provider_sync.config.yaml_file import expand, load_yaml, read_text
from airflow_provider_sync.exceptions import ConfigurationError


class WrittenNames(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a file that can be read, whatever else is wrong in it.

    :ivar history: URL of the history; ``None`` if there is none, or it uses a variable that is not set
    :ivar history_days: days for which records are kept; as many as possible if that is not known, so that none are removed
    """

    tables: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    history: str | None = None
    history_days: int = MAX_DAYS

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Read a file; the result is empty for one that is not YAML."""
        try:
            settings, unset = expand(load_yaml(read_text(path), path), path)
        except ConfigurationError:
            return cls()
        unknown = dict.fromkeys(mistake.place[0] for mistake in unset if len(mistake.place) == 1)
        known: dict[Any, Any] = {"history_days": 90, **settings, **unknown}
        history, days = known.get("history"), known["history_days"]
        return cls(
            tables=_names(known.get("tables")),
            directories=_names(known.get("directories")),
            history=history if isinstance(history, str) and history else None,
            history_days=days if type(days) is int and 0 < days <= MAX_DAYS else MAX_DAYS,
        )


def _names(group: Any) -> tuple[str, ...]:
    """Return the names of a group: a mapping with options, a list, or one pattern."""
    names = [group] if isinstance(group, str) else group if isinstance(group, (Mapping, list)) else []
    return tuple(name for name in names if isinstance(name, str))
