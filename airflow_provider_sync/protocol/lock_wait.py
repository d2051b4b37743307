"""The ``Sync-Lock-Wait`` header of requests: how long the server may wait for a lock of another session.

The server knows no runs. A run that has already waited for a locked table asks it not to wait as long for the next one.
"""

from __future__ import annotations

HEADER = "Sync-Lock-Wait"

BRIEF_WAIT = 1
"""Seconds to wait for a lock after an earlier one was waited for in vain: either only one table is locked, or all of them are."""


def requested_wait(header: str | None) -> int | None:
    """Return the seconds that a request allows, at least one; ``None`` without a valid header.

    :param header: value of :data:`HEADER`
    """
    text = header or ""
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
