"""The error for a body that exceeds its limit."""

from __future__ import annotations

from airflow_provider_sync.exceptions import GuardError, ProtocolError, SyncError


def too_large(limit: int, option: str | None, *, what: str = "The body", unit: str = "bytes") -> SyncError:
    """Return the error: a :class:`.GuardError` if an option sets the limit, otherwise a :class:`.ProtocolError`.

    :param option: the option that sets the limit, such as ``limits.max_rows``; ``None`` for a limit of the protocol
    """
    if option is None:
        return ProtocolError(f"{what} has more than {limit} {unit}. Is there a sync server?")
    return GuardError(f"{what} has more than the {limit} {unit} that {option} allows. Raise it if the source is that large.")
