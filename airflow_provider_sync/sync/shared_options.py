"""Detect that an option which all steps of a sync must share, such as a table's window, changed between two steps.

A DAG file may be edited during a run. Steps with different options could stage rows or files for one target, merge them into
another, and report the result as verified.
"""

from __future__ import annotations

from hashlib import sha256

from airflow_provider_sync.config import ClientConfig, TargetDirectory, TargetTable
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.sync.step_value import StepValue
from airflow_provider_sync.url_secrets import replace_secrets

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
"""The options that select rows or files and map them to the target; other options, such as guards, may change between steps."""


def shared_options(config: ClientConfig, entry: TargetTable | TargetDirectory, *, connection: str = "") -> dict[str, str]:
    """Return digests of the server's address and of each shared option that is not the default.

    :param connection: the database's URL; its password may change between steps
    """
    own = {name: getattr(entry, name) for name in _SHARED[type(entry)]}
    given = {name: value for name, value in own.items() if value != type(entry).model_fields[name].default}
    given |= {"the server": config.url, "the connection": replace_secrets(connection, lambda _name, _secret: "")}
    return {name: sha256(repr(value).encode()).hexdigest()[:8] for name, value in given.items()}


def check_shared_options(
    piece: StepValue, config: ClientConfig, entry: TargetTable | TargetDirectory, *, connection: str = ""
) -> None:
    """Refuse a piece of work that an earlier step made with other options.

    :raises ConfigurationError: naming the option that changed
    """
    now, then = shared_options(config, entry, connection=connection), piece.options
    changed = [name for name in (*now, *then) if now.get(name) != then.get(name)] if then else []
    if changed:
        kind = "Table" if isinstance(entry, TargetTable) else "Directory"
        raise ConfigurationError(
            f"{kind} {entry.name!r}: {changed[0]} is not what it was when the comparison ran. Run the steps again from the first."
        )
