"""Note for which locks a sync waited in vain, and how long at most: a clock would count what else the machine has to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import LockTimeoutError

Waits = list[int | None]
"""For each statement that timed out, the limit of its session in seconds; ``None`` for the limit of the engine."""


@contextmanager
def recorded_waits(database: Database) -> Iterator[Waits]:
    """Record the limit of each statement that times out in a database of this kind during the block."""
    waits: Waits = []
    kind = type(database)
    translate = kind.translate_errors

    @contextmanager
    def translate_errors(database: Database) -> Iterator[None]:
        try:
            with translate(database):
                yield
        except LockTimeoutError as error:
            # Outer blocks see the same error, or a copy of it.
            if not hasattr(error, "noted"):
                error.noted = True  # type: ignore[attr-defined]  # for this test
                waits.append(database.session.lock_seconds)
            raise

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(kind, "translate_errors", translate_errors)
        yield waits
