"""Find the stretches of a new version in one thread while another thread writes them, with some of their bytes in memory.

Stretches are kept with their bytes as long as there are buffers. While the writer waits for a fetch, the search continues without
buffers, so that the next fetch can begin at once; the bytes of such stretches are read a second time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Condition

from airflow_provider_sync.files.chunk_matching import BLOCK_BYTES, Stretch

_BUFFERS = 12


class StretchesAhead:
    """A queue of stretches from the thread that finds them (:meth:`fill`) to the thread that writes them.

    It also provides the buffers for their bytes; see :class:`.BlockBuffers`.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._ready: deque[Stretch] = deque()
        self._missing: list[tuple[int, int]] = []
        self._free: list[memoryview] = []
        self._made = 0
        self._fetches = False
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None

    def take(self) -> memoryview | None:
        """Wait for a buffer, and return it; return ``None`` while the writer is fetching."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._made < _BUFFERS or self._fetches or self._closed)
            if self._free:
                return self._free.pop()
            if self._made == _BUFFERS:
                return None
            self._made += 1
        return memoryview(bytearray(BLOCK_BYTES))

    def give_back(self, data: memoryview) -> None:
        """Take back a buffer, or a part of it."""
        with self._changed:
            self._free.append(memoryview(data.obj))
            self._changed.notify_all()

    def fill(self, stretches: Iterable[Stretch]) -> None:
        """Find all stretches, or until :meth:`close`; an error is raised in the writing thread."""
        try:
            for stretch in stretches:
                with self._changed:
                    if self._closed:
                        return
                    self._ready.append(stretch)
                    if stretch.local is None:
                        self._missing.append((stretch.offset, stretch.length))
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001  # raised by :meth:`__iter__`
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[Stretch]:
        """Yield the stretches; the bytes of one are valid until the next one is requested."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._ended)
                if not self._ready:
                    break
                stretch = self._ready.popleft()
                self._fetches = stretch.local is None
                self._changed.notify_all()
            yield stretch
            if stretch.data is not None:
                self.give_back(stretch.data)
        if self._error is not None:
            raise self._error

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Return offset and length of the ranges to fetch that are known and were not returned before."""
        with self._changed:
            missing, self._missing = self._missing, []
        joined: list[tuple[int, int]] = []
        for offset, length in missing:
            if joined and sum(joined[-1]) == offset:
                offset, before = joined.pop()
                length += before
            joined.append((offset, length))
        return tuple(joined)

    def close(self) -> None:
        """End the search, since nothing more is written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
