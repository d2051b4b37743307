"""End a sync from outside: by a signal that its process gets, or from another thread.

A signal's handler runs in the main thread, and only between two steps of Python. A statement that takes minutes inside a driver
is one step. So a thread of its own hears of the signal first, through the descriptor that Python writes to at once, and cancels
the statements that run and the requests that are under way; then the main thread gets to its handler, which raises.

::

    signal ──┬─▶ listening thread: cancel statements, give up requests
             └─▶ main thread, once its statement has ended: SyncCancelled ── roll back ── drop or keep what is staged ── unlock

What is cancelled is registered by whoever opens it (:meth:`Cancellation.watching`): databases register their connections, and
clients themselves.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
"""What ends a sync; the last is how Airflow limits the time of a task, and ends one only where somebody handles it."""

ROUND_SECONDS = 2.0
"""Longest that the main thread waits for the statements to be cancelled before it goes on."""

REPEAT_SECONDS = 0.25
"""How often other threads' statements are cancelled until they are over: one may just have begun another."""


class SyncCancelled(KeyboardInterrupt):
    """The sync was ended from outside.

    A KeyboardInterrupt, since drivers know how to leave a statement for one, and nobody takes it for an error to go on after.

    :ivar number: of the signal
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


class Cancellation:
    """What has to be ended along with a sync, and whether the sync was ended.

    :ivar cancelled: whether what is under way has been cancelled
    :ivar ending: whether the main thread knows
    :ivar number: of the signal that ended it
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.ending = False
        self.number: int = signal.SIGTERM
        self._lock = threading.Lock()
        self._open: dict[int, tuple[int, Callable[[], None]]] = {}
        self._first_round = threading.Event()

    @contextmanager
    def watching(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Have ``cancel`` called when the sync ends from outside during the block, from another thread, and maybe repeatedly.

        :param cancel: ends what is under way soon, does nothing where nothing is, and raises nothing
        :raises SyncCancelled: in another thread than the main one, which has to clean up, once the sync has ended
        """
        if self.cancelled and threading.current_thread() is not threading.main_thread():
            raise SyncCancelled
        key = id(cancel)
        with self._lock:
            self._open[key] = (threading.get_ident(), cancel)
        try:
            yield
        finally:
            with self._lock:
                del self._open[key]

    def cancel(self) -> None:
        """Cancel all that is under way; another call does nothing."""
        if self.cancelled:
            return
        self.cancelled = True
        self._cancel(everywhere=True)
        self._first_round.set()

    def cancel_others(self) -> None:
        """Cancel what other threads than the main one have under way."""
        self._cancel(everywhere=False)

    def wait(self) -> None:
        """Wait until all that was under way has been cancelled once, for :data:`ROUND_SECONDS` at most."""
        self._first_round.wait(ROUND_SECONDS)

    def _cancel(self, *, everywhere: bool) -> None:
        # Without the lock while cancelling: what has ended meanwhile must be able to say so.
        with self._lock:
            under_way = list(self._open.values())
        for thread, cancel in under_way:
            if everywhere or thread != threading.main_thread().ident:
                cancel()


_CURRENT: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current_cancellation() -> Cancellation | None:
    """Return what ends the sync that this thread has begun; other threads of the process do not see it."""
    return _CURRENT.get()


@contextmanager
def cancelled_by_signals() -> Iterator[Cancellation]:
    """Have signals end the block as soon as possible: with what their own handler raises, else with :class:`SyncCancelled`.

    In another thread than the main one, which never gets signals, and where somebody else listens for them, such as an event
    loop, the block runs as it is. So it does inside another such block.
    """
    outer = _CURRENT.get()
    if outer is not None or threading.current_thread() is not threading.main_thread():
        yield outer or Cancellation()
        return
    cancellation = Cancellation()
    token = _CURRENT.set(cancellation)
    try:
        with _listening(cancellation):
            yield cancellation
    except Exception as error:
        raise_if_ended(error)
        raise
    finally:
        _CURRENT.reset(token)


def raise_if_ended(error: Exception) -> None:
    """Raise what the handler of a signal raised, if ``error`` stands in its place.

    A library between the handler and the block may turn the one into the other: SQLite does so with what its functions raise.

    :raises SyncCancelled: if the sync was ended from outside
    """
    cancellation = _CURRENT.get()
    if cancellation is not None and cancellation.ending and threading.current_thread() is threading.main_thread():
        raise SyncCancelled(cancellation.number) from error


@contextmanager
def _listening(cancellation: Cancellation) -> Iterator[None]:
    """Cancel from a thread of its own when a signal comes."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if earlier != -1:
        # An event loop's; it has to hear of signals.
        signal.set_wakeup_fd(earlier, warn_on_full_buffer=False)
        os.close(reading)
        os.close(writing)
        yield
        return
    ended = threading.Event()
    handlers = {number: handler for number in SIGNALS if (handler := _handler(number, cancellation)) is not None}
    thread = threading.Thread(
        target=_listen, args=(reading, cancellation, set(handlers), ended), name="sync-signals", daemon=True
    )
    thread.start()
    replaced = {}
    try:
        for number, handler in handlers.items():
            replaced[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in replaced.items():
            if signal.getsignal(number) is handlers[number]:
                signal.signal(number, previous)
        signal.set_wakeup_fd(-1)
        ended.set()
        os.close(writing)
        thread.join()
        os.close(reading)


Handler = Callable[[int, FrameType | None], None]


def _handler(number: int, cancellation: Cancellation) -> Handler | None:
    """Return the handler of a signal: what was done before, once what runs has been cancelled; ``None`` to leave it as it is."""
    previous = signal.getsignal(number)
    if previous in (signal.SIG_IGN, None) or (number == signal.SIGALRM and previous == signal.SIG_DFL):
        return None

    def handle(number: int, frame: FrameType | None) -> None:
        if cancellation.ending and number != signal.SIGINT:
            return  # cleaning up is not to be ended
        cancellation.ending, cancellation.number = True, number
        cancellation.wait()
        if callable(previous):
            previous(number, frame)
        raise SyncCancelled(number)

    return handle


def _listen(reading: int, cancellation: Cancellation, numbers: set[int], ended: threading.Event) -> None:
    """Wait for signals until the block is over: the first cancels, in a thread of its own, since cancelling may take long, too.

    Where the main thread waits for a database that does not answer any more, a later signal ends the process.
    """
    began = 0.0
    canceller: threading.Thread | None = None
    while received := os.read(reading, 64):
        number = next((number for number in received if number in numbers), None)
        if number is None:
            continue
        if canceller is None:
            began = time.monotonic()
            canceller = threading.Thread(target=_cancel, args=(cancellation, ended), name="sync-cancels", daemon=True)
            canceller.start()
        elif not cancellation.ending and time.monotonic() - began > ROUND_SECONDS:
            # Nothing is committed: whoever serves the connection rolls back once it is gone.
            os._exit(128 + number)
    if canceller is not None:
        canceller.join(ROUND_SECONDS)


def _cancel(cancellation: Cancellation, ended: threading.Event) -> None:
    cancellation.cancel()
    while not ended.wait(REPEAT_SECONDS):
        cancellation.cancel_others()
