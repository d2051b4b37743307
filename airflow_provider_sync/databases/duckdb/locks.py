"""Keep two syncs in this process from writing one table at the same time; other processes cannot open an open file."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Lock

from airflow_provider_sync.databases.locks import TableLock, busy

_LOCKS: defaultdict[str, Lock] = defaultdict(Lock)
"""The locks of all tables that this process has synced, by file and name."""


class _HeldLocks:
    """Locks of this process, which cannot be lost."""

    def check(self) -> None:
        """Do nothing."""


@contextmanager
def hold_locks(names: Mapping[str, str], *, timeout: float) -> Iterator[TableLock]:
    """Hold locks, taken in the given order.

    :param names: names of the tables by the identity of their lock
    :param timeout: seconds to wait for all locks together
    :raises LockTimeoutError: when another sync holds one of the locks for longer
    """
    deadline = time.monotonic() + timeout
    with ExitStack() as held:
        for key, name in names.items():
            lock = _LOCKS[key]
            if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise busy(name, timeout)
            held.callback(lock.release)
        yield _HeldLocks()
