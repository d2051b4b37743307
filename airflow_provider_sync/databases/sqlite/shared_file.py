"""Prepare a database file to which several processes write a few small rows at a time."""

from __future__ import annotations

import os
from contextlib import suppress

from sqlalchemy import Engine, event

BUSY_SECONDS = 15
"""Seconds that a writer waits for another one."""


def share(engine: Engine) -> None:
    """Use WAL, so that readers do not wait for writers, and let writers wait; create a missing file for this user only."""
    _make_private(engine.url.database)
    pragmas = f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}", "PRAGMA journal_mode = WAL"
    event.listen(engine, "connect", lambda connection, _: [connection.execute(pragma) for pragma in pragmas])


def _make_private(path: str | None) -> None:
    """Create a missing database file that only this user may read; SQLite uses the same permissions for the files next to it.

    If that fails, SQLite raises its own error when it opens the file.
    """
    if path and not path.startswith((":memory:", "file:")):
        with suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
