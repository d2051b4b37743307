"""End a sync from outside: by a signal to its process, or from another thread.

A signal's handler runs in the main thread, and only between two steps of Python. A statement that takes minutes inside a driver
is one step. So another thread learns of the signal first, through a descriptor to which Python writes at once. It cancels the
running statements and requests; then the main thread reaches its handler, which raises.

::

    signal ──┬─▶ listening thread: cancel statements, give up requests
             └─▶ main thread, once its statement has ended: SyncCancelled ── roll back ── drop or keep what is staged ── unlock

A database that hangs takes no request to cancel. After a while the connections to it are shut down, with whatever the main thread
waits for in its clean-up, too (:mod:`.escalation`). What the block raises then has a note that names the database.

A database may lose the request: MySQL and PostgreSQL ignore one that overtakes its statement. So it is repeated until the main
thread has reached its handler. Where Python ignores what the handler raises (in a weak reference's callback, a ``__del__``), the
signal is sent once more.

Work that can be cancelled is registered when it begins (:meth:`Cancellation.watching`): databases register their connections,
and clients register themselves.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from airflow_provider_sync import escalation
from airflow_provider_sync.escalation import Canceller

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
"""The signals that end a sync. SIGHUP means that the terminal is gone; under nohup it is ignored.

Airflow enforces a task's time limit by SIGALRM, which ends a sync only if it has a handler.
"""

ROUND_SECONDS = 2.0
"""Longest time, in seconds, for which the main thread waits until statements are cancelled."""

REPEAT_SECONDS = 0.25
"""Seconds between two rounds of cancelling, since a request may be lost, and a thread may just have begun another statement."""


class SyncCancelled(KeyboardInterrupt):
    """The sync was ended from outside.

    It is a KeyboardInterrupt, because drivers leave a statement cleanly for one, and no ``except Exception`` swallows it.

    :ivar number: number of the signal
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


def notes_of(ended: BaseException) -> str:
    """Return which databases did not answer when the sync was ended, a sentence after a space; empty if all did."""
    current = _CURRENT.get()
    return "".join(f" {note}" for note in getattr(ended, "__notes__", ()) or (current.notes() if current is not None else ()))


class Cancellation:
    """The statements and requests that must be cancelled to end a sync, and whether that was done.

    :param patience: of :attr:`patience`; :data:`.escalation.PATIENCE_SECONDS` by default
    :ivar patience: seconds for a database to take a request to cancel; see :meth:`.Canceller.shut_down_if_due`
    :ivar cancelled: whether the cancelling of statements and requests has begun
    :ivar unanswered: names of the databases whose connections were shut down
    :ivar ending: whether the main thread has reached the handler of the signal
    :ivar number: number of the signal that ended the sync
    :ivar raised: what the handler raised
    :ivar ignored: whether that was raised where Python ignores exceptions, so that the main thread goes on
    """

    def __init__(self, patience: float | None = None) -> None:
        self.patience = patience or escalation.PATIENCE_SECONDS
        self.cancelled = False
        self.unanswered: set[str] = set()
        self.ending = False
        self.number: int = signal.SIGTERM
        self.raised: BaseException | None = None
        self.ignored = False
        self._lock = threading.Lock()
        self._open: dict[int, tuple[int, Canceller]] = {}
        self._is_calm = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, canceller: Canceller) -> Iterator[None]:
        """Call ``canceller`` if the sync is ended from outside during the block; from another thread, and possibly repeatedly.

        :raises SyncCancelled: in threads other than the main one, if the sync was ended; the main thread may still clean up
        """
        if self.cancelled and threading.current_thread() is not threading.main_thread():
            raise SyncCancelled
        key = id(canceller)
        with self._lock:
            self._open[key] = (threading.get_ident(), canceller)
        try:
            yield
        finally:
            with self._lock:
                del self._open[key]

    def gave_up(self, name: str) -> bool:
        """Whether connections to the database of this name were shut down."""
        return name in self.unanswered

    def notes(self) -> Sequence[str]:
        """Return a sentence about each database whose connections were shut down."""
        return [f"No answer from {name}: the connections to it were closed." for name in sorted(self.unanswered)]

    def cancel(self) -> None:
        """Cancel all running statements and requests, from a thread that goes on until the end; another call does nothing."""
        with self._lock:
            if self.cancelled:
                return
            self.cancelled = True
            self._thread = threading.Thread(target=self._cancel_until_ended, name="sync-cancelling", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until everything has been cancelled once and no request for it is under way, at most :data:`ROUND_SECONDS`."""
        self._is_calm.wait(ROUND_SECONDS)

    def end(self) -> None:
        """Stop cancelling: the sync has ended."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(2 * ROUND_SECONDS)

    def _cancel_until_ended(self) -> None:
        self._cancel_everywhere(ROUND_SECONDS)
        while not self._ended.wait(REPEAT_SECONDS):
            self._is_calm.clear()  # before the question, lest the main thread begins to clean up between the two
            if self.ending and not self.ignored:
                self._is_calm.set()
                self._cancel(everywhere=False)
            else:
                self._cancel_everywhere(REPEAT_SECONDS)
                self._send_again()
            self._shut_down_what_is_due()

    def _cancel_everywhere(self, seconds: float) -> None:
        """Cancel in the main thread, too, and wait for the requests, so that they do not reach its clean-up."""
        cancellers = self._cancel(everywhere=True)
        until = time.monotonic() + seconds
        for canceller in cancellers:
            canceller.wait(max(0, until - time.monotonic()))
        self._is_calm.set()

    def _cancel(self, *, everywhere: bool) -> list[Canceller]:
        main = threading.main_thread().ident
        chosen = [canceller for thread, canceller in self._under_way() if everywhere or thread != main]
        for canceller in chosen:
            canceller()
        return chosen

    def _shut_down_what_is_due(self) -> None:
        for _, canceller in self._under_way():
            # A database that was silent to one connection is not waited for by another.
            if canceller.shut_down_if_due(0 if self.gave_up(canceller.name) else self.patience):
                self.unanswered.add(canceller.name)

    def _send_again(self) -> None:
        """Send the signal again if Python ignored what its handler raised."""
        main = threading.main_thread().ident
        if self.ignored and main is not None:
            signal.pthread_kill(main, self.number)

    def _under_way(self) -> list[tuple[int, Canceller]]:
        # Do not hold the lock while cancelling: blocks that end during it need the lock.
        with self._lock:
            return list(self._open.values())


_CURRENT: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current_cancellation() -> Cancellation | None:
    """Return the cancellation of the sync that this thread has begun; other threads of the process do not see it."""
    return _CURRENT.get()


@contextmanager
def cancelled_by_signals(*, patience: float | None = None) -> Iterator[Cancellation]:
    """End the block soon after a signal, with what the signal's own handler raises, or else with :class:`SyncCancelled`.

    If a database did not answer, a note of the exception names it.

    Signals do not end the block in a thread other than the main one, which never gets signals, nor if another part of the process
    listens for them, such as an event loop. Inside another such block, the outer one counts.

    :param patience: seconds for a database to take a request to cancel, before its connections are shut down; by default
        :data:`.escalation.PATIENCE_SECONDS`
    """
    outer = _CURRENT.get()
    if outer is not None or threading.current_thread() is not threading.main_thread():
        yield outer or Cancellation()
        return
    cancellation = Cancellation(patience)
    token = _CURRENT.set(cancellation)
    try:
        with _naming_what_did_not_answer(cancellation), _listening(cancellation):
            yield cancellation
    finally:
        cancellation.end()
        _CURRENT.reset(token)


@contextmanager
def _naming_what_did_not_answer(cancellation: Cancellation) -> Iterator[None]:
    """Raise what ended the sync, even if a library replaced it, with a note if connections were shut down."""
    try:
        try:
            yield
        except Exception as error:
            raise_if_ended(error)
            raise
    except BaseException as error:
        for note in cancellation.notes():
            error.add_note(note)
        raise


def raise_if_ended(error: Exception) -> None:
    """Raise :class:`SyncCancelled` if a library has replaced it by ``error``.

    A library between the handler and the block may replace the exception: SQLite replaces what its functions raise.

    :raises SyncCancelled: if the sync was ended from outside
    """
    cancellation = _CURRENT.get()
    if cancellation is not None and cancellation.ending and threading.current_thread() is threading.main_thread():
        raise SyncCancelled(cancellation.number) from error


def clean_up_fully(work: Callable[[], None]) -> None:
    """Run ``work``, and again if a signal interrupted it, so that nothing stays behind that it has to remove.

    The signal cancels the statement that runs, or raises between two statements. What interrupted the work is raised afterwards.

    :param work: removes something, and may be repeated
    """
    try:
        work()
    except BaseException:
        cancellation = _CURRENT.get()
        if cancellation is not None and cancellation.cancelled:
            work()
        raise


@contextmanager
def _listening(cancellation: Cancellation) -> Iterator[None]:
    """Start a thread that cancels when a signal comes, and stop it at the end of the block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if earlier != -1:
        # The wakeup descriptor belongs to an event loop, which needs it.
        signal.set_wakeup_fd(earlier, warn_on_full_buffer=False)
        os.close(reading)
        os.close(writing)
        yield
        return
    handlers = {number: handler for number in SIGNALS if (handler := _handler(number, cancellation)) is not None}
    thread = threading.Thread(target=_listen, args=(reading, cancellation, set(handlers)), name="sync-signals", daemon=True)
    thread.start()
    replaced = {}
    try:
        for number, handler in handlers.items():
            replaced[number] = signal.signal(number, handler)
        with _noticing_what_is_ignored(cancellation):
            yield
    finally:
        for number, previous in replaced.items():
            if signal.getsignal(number) is handlers[number]:
                signal.signal(number, previous)
        signal.set_wakeup_fd(-1)
        os.close(writing)
        thread.join()
        os.close(reading)


Handler = Callable[[int, FrameType | None], None]


def _handler(number: int, cancellation: Cancellation) -> Handler | None:
    """Return a handler that waits for the cancelling, then calls the earlier handler; ``None`` to keep the earlier one."""
    previous = signal.getsignal(number)
    if previous in (signal.SIG_IGN, None) or (number == signal.SIGALRM and previous == signal.SIG_DFL):
        return None

    def handle(number: int, frame: FrameType | None) -> None:
        if cancellation.ending and not cancellation.ignored and number != signal.SIGINT:
            return  # do not interrupt the cleaning up
        cancellation.ending, cancellation.ignored, cancellation.number = True, False, number
        cancellation.wait()
        try:
            if callable(previous):
                previous(number, frame)
            raise SyncCancelled(number)
        except BaseException as raised:
            cancellation.raised = raised
            raise

    return handle


@contextmanager
def _noticing_what_is_ignored(cancellation: Cancellation) -> Iterator[None]:
    """Record whether Python ignores an exception that a signal's handler raises during the block."""
    previous = sys.unraisablehook

    def notice(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is not None and unraisable.exc_value is cancellation.raised:
            cancellation.ignored = True
        else:
            previous(unraisable)

    sys.unraisablehook = notice
    try:
        yield
    finally:
        if sys.unraisablehook is notice:
            sys.unraisablehook = previous
        cancellation.raised = None  # its traceback would keep alive what the block has opened


def _listen(reading: int, cancellation: Cancellation, numbers: set[int]) -> None:
    """Wait for signals until the block is over. The first one cancels.

    If the main thread waits for a database that no longer answers, a later signal ends the process.
    """
    began: float | None = None
    while received := os.read(reading, 64):
        number = next((number for number in received if number in numbers), None)
        if number is None:
            continue
        if began is None:
            began = time.monotonic()
            cancellation.cancel()
        elif not cancellation.ending and time.monotonic() - began > ROUND_SECONDS:
            # Nothing is committed: the database rolls back when the connection is gone.
            os._exit(128 + number)
