"""Notice that what the steps of one sync must share, such as the window of a table, was changed between two of them.

A DAG file may be edited while its run is under way. Steps with different options would stage rows or files for one target and
merge them into another, and report it as verified.
"""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from airflow_provider_sync.config import ClientConfig, TargetDirectory, TargetTable
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.sync.step_value import StepValue

_SHARED = {
    TargetTable: (
        "table",
        "primary",
        "columns",
        "renames",
        "window",
        "mode",
        "deleted_at",
        "valid_from",
        "valid_to",
        "is_current",
    ),
    TargetDirectory: ("path", "prefix", "include", "exclude"),
}
"""The options that decide which rows or files are meant, and what they are in the target; guards and the like may change."""


def shared_options(config: ClientConfig, entry: TargetTable | TargetDirectory, *, connection: str = "") -> dict[str, str]:
    """Return a digest of the server and of each option that all steps must share, where it is not the default.

    :param connection: the database's URL, of which the password may change
    """
    own = {name: getattr(entry, name) for name in _SHARED[type(entry)]}
    given = {name: value for name, value in own.items() if value != type(entry).model_fields[name].default}
    given |= {"the server": config.url, "the connection": _without_password(connection)}
    return {name: sha256(repr(value).encode()).hexdigest()[:8] for name, value in given.items()}


def check_shared_options(
    piece: StepValue, config: ClientConfig, entry: TargetTable | TargetDirectory, *, connection: str = ""
) -> None:
    """Refuse a piece of work that another step has found with other options.

    :raises ConfigurationError: naming the option
    """
    now, then = shared_options(config, entry, connection=connection), piece.options
    changed = [name for name in (*now, *then) if now.get(name) != then.get(name)] if then else []
    if changed:
        kind = "Table" if isinstance(entry, TargetTable) else "Directory"
        raise ConfigurationError(
            f"{kind} {entry.name!r}: {changed[0]} is not what it was when the comparison ran. Run the steps again from the first."
        )


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.rpartition("@")[2]
