"""Where the digest that was last announced survives a restart of the triggerer.

From Airflow 3.3 on that is the state store of the asset. Before, and where several assets share one watcher, so that none of
their stores is the right one, it is an Airflow variable.
"""

from __future__ import annotations

from typing import Any, Protocol

from airflow.providers.common.compat.sdk import Variable
from asgiref.sync import sync_to_async


class StateStore(Protocol):
    """What is used of Airflow's ``asset_state_store``."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""


class LastDigest:
    """One digest, kept under one key.

    :param key: as ``sync_digest.table.orders.0123456789ab``; the name of the variable, too
    :param store: of the asset; ``None`` where Airflow has none
    """

    def __init__(self, key: str, store: StateStore | None) -> None:
        self._key = key
        self._store = store

    async def read(self) -> str | None:
        """Return the digest; ``None`` when none was kept yet."""
        # Calls of a thread find their way to the triggerer only if asgiref made the thread: so in Airflow 3.1 and 3.2.
        return await sync_to_async(self._read, thread_sensitive=False)()

    async def write(self, digest: str) -> None:
        """Keep a digest."""
        await sync_to_async(self._write, thread_sensitive=False)(digest)

    def _read(self) -> str | None:
        if self._store is not None:
            try:
                return self._text(self._store.get(self._key))
            except ValueError:
                self._store = None  # several assets share it
        return self._text(Variable.get(self._key, default=None))

    def _write(self, digest: str) -> None:
        if self._store is None:
            Variable.set(self._key, digest)
        else:
            self._store.set(self._key, digest)

    @staticmethod
    def _text(value: Any) -> str | None:
        return value if isinstance(value, str) else None
