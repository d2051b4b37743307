"""Keep the digest that was last announced across restarts of the triggerer.

From Airflow 3.3 on it is kept in the state store of the asset. Older versions have none, and where several assets share one
watcher no store is the right one; there it is kept in an Airflow variable.
"""

from __future__ import annotations

from typing import Any, Protocol

from airflow.providers.common.compat.sdk import Variable
from asgiref.sync import sync_to_async


class StateStore(Protocol):
    """The methods of Airflow's ``asset_state_store`` that are used."""

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
        # On Airflow 3.1 and 3.2 only threads that asgiref created can talk to the triggerer.
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
