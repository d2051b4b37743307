"""The limits that stop a sync before it deletes more than its options allow."""

from __future__ import annotations

from airflow_provider_sync.config import DeleteLimit, TargetDirectory, TargetTable
from airflow_provider_sync.exceptions import GuardError


def check_deletes(target: TargetTable | TargetDirectory, *, deletes: int, present: int, offered: int, unit: str) -> None:
    """Refuse to delete more of a target than its options allow.

    :param deletes: number of rows or files that would be deleted
    :param present: number of rows or files that the target has
    :param offered: number of rows or files that the source has
    :param unit: ``rows`` or ``files``, for the message
    :raises GuardError: naming the option that allows it
    """
    if not deletes:
        return
    if not offered and not target.allow_empty_source:
        raise GuardError(
            f"The source of {target.name!r} is empty, and the target has {present} {unit}."
            " If that is right, set allow_empty_source."
        )
    if offered and not DeleteLimit.parse(target.max_deletes).allows(deletes, of=present):
        raise GuardError(
            f"The sync of {target.name!r} would delete {deletes} of {present} {unit}; max_deletes is {target.max_deletes}."
            f" If that is right, set max_deletes to '100%', or to at least {deletes}."
        )
