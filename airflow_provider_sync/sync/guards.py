"""The limits that stop a sync before it deletes more than its options allow."""

from __future__ import annotations

from typing import TypeVar

from airflow_provider_sync.config import DeleteLimit, TargetDirectory, TargetTable
from airflow_provider_sync.exceptions import GuardError, RefusedDeletes

Target = TypeVar("Target", TargetTable, TargetDirectory)


def check_deletes(target: TargetTable | TargetDirectory, *, deletes: int, present: int, offered: int, unit: str) -> None:
    """Refuse to delete more rows or files of a target than its options allow.

    ``allow_empty_source`` overrides a ``max_deletes`` that is a share of the target, but not one that is a number.

    :param deletes: number of rows or files that would be deleted
    :param present: number of rows or files that the target has
    :param offered: number of rows or files that the source has
    :param unit: ``rows`` or ``files``, for the message
    :raises GuardError: if there are too many; the message names the option that would allow them
    """
    if not deletes:
        return
    limit = DeleteLimit.parse(target.max_deletes)
    allow_empty_source, max_deletes = target.what_to_set("allow_empty_source"), target.what_to_set("max_deletes")
    if not offered and not target.allow_empty_source:
        error = GuardError(
            f"The source of {target.name!r} is empty, and the target has {present} {unit}."
            f" If that is right, set {allow_empty_source}."
        )
    elif (offered or limit.count is not None) and not limit.allows(deletes, of=present):
        error = GuardError(
            f"The sync of {target.name!r} would delete {deletes} of {present} {unit}; {max_deletes} is {target.max_deletes}."
            f" If that is right, set {max_deletes} to '100%', or to at least {deletes}."
        )
    else:
        return
    kind = "table" if isinstance(target, TargetTable) else "directory"
    error.refused = (RefusedDeletes(kind, target.name, deletes=deletes, present=present, offered=offered),)
    raise error


def unguarded(target: Target) -> Target:
    """Return the options without guards on deletions, to find out what a guard would stop."""
    return target.model_copy(update={"max_deletes": "100%", "allow_empty_source": True})


def allowing(target: Target, refused: RefusedDeletes) -> Target:
    """Return the options with guards that allow exactly the refused deletions."""
    if refused.kind == "tables":
        return target.model_copy(update={"max_drops": refused.deletes})
    is_empty = {} if refused.offered else {"allow_empty_source": True}
    return target.model_copy(update={"max_deletes": refused.deletes, **is_empty})
