"""Decide which rows of a target to digest after a merge, before the commit. No I/O."""

from __future__ import annotations

from enum import StrEnum, auto

from airflow_provider_sync.protocol.v2.messages import Scheme


class Verification(StrEnum):
    """The rows of the target to digest before the commit."""

    KEYS = auto()
    """The touched rows, looked up by their keys."""
    TOUCHED = auto()
    """The rows of the touched segments, looked up by key ranges."""
    TABLE = auto()
    """The whole table."""


def plan_verification(
    scheme: Scheme, *, is_listed: bool, touched_rows: int, source_rows: int, keeps_rows: bool = False
) -> Verification:
    """Decide how to verify the target: look up touched key ranges, unless they hold more than half of the rows; else scan.

    :param is_listed: whether all touched keys are in memory
    :param touched_rows: rows of the source in the touched segments
    :param keeps_rows: see :attr:`~.facts.Facts.keeps_rows`
    """
    if keeps_rows and is_listed:
        return Verification.KEYS
    if scheme != "key_range":
        return Verification.KEYS if is_listed else Verification.TABLE
    return Verification.TABLE if 2 * touched_rows > source_rows else Verification.TOUCHED
