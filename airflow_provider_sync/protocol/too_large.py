"""The error for a body that is larger than it may be."""

from __future__ import annotations

from airflow_provider_sync.exceptions import GuardError, ProtocolError, SyncError


def too_large(limit: int, option: str | None, *, what: str = "The body", unit: str = "bytes") -> SyncError:
    """Return the error: that of a guard where the user sets the limit, else that of an answer that no sync server gives.

    :param option: that sets the limit, as ``limits.max_rows``
    """
    if option is None:
        return ProtocolError(f"{what} has more than {limit} {unit}. Is there a sync server?")
    return GuardError(f"{what} has more than the {limit} {unit} that {option} allows. Raise it if the source is that large.")
