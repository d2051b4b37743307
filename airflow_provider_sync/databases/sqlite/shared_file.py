"""A database file that several processes write to, a few small rows at a time."""

from __future__ import annotations

import os
from contextlib import suppress

from sqlalchemy import Engine, event

BUSY_SECONDS = 15
"""How long a writer waits for another one."""


def share(engine: Engine) -> None:
    """Let readers not wait for writers, and writers wait for each other; nobody else may read a file that is made here."""
    _make_private(engine.url.database)
    pragmas = f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}", "PRAGMA journal_mode = WAL"
    event.listen(engine, "connect", lambda connection, _: [connection.execute(pragma) for pragma in pragmas])


def _make_private(path: str | None) -> None:
    """Make a missing database file for this user only; SQLite gives the same permissions to the files that it makes beside it.

    Where that fails, SQLite itself fails next, with an error of its own.
    """
    if path and not path.startswith((":memory:", "file:")):
        with suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
