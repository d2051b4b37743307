"""Store the digest of the last event, so that a restart of the triggerer neither loses nor repeats an event.

From Airflow 3.3 on, it is stored in the asset's state store. In older versions, which have no state store, and for a watcher that
several assets share, it is stored in an Airflow variable.
"""

from __future__ import annotations

from typing import Any, Protocol

from airflow.providers.common.compat.sdk import Variable
from asgiref.sync import sync_to_async


class StateStore(Protocol):
    """The methods of Airflow's ``asset_state_store`` that are used."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""

    def set(self, key: str, value: Any) -> None:
        """Store a value."""


class LastDigest:
    """One digest, stored under one key.

    :param key: such as ``sync_digest.table.orders.0123456789ab``; also the name of the variable
    :param store: state store of the asset; ``None`` if this version of Airflow has none
    """

    def __init__(self, key: str, store: StateStore | None) -> None:
        self._key = key
        self._store = store

    async def read(self) -> str | None:
        """Return the digest; ``None`` if none was stored yet."""
        # On Airflow 3.1 and 3.2 only threads that asgiref created can talk to the triggerer.
        return await sync_to_async(self._read, thread_sensitive=False)()

    async def write(self, digest: str) -> None:
        """Store a digest."""
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
