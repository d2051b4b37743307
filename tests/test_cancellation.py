"""What ends a sync from outside, where the main thread cannot be reached."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

import pytest

from airflow_provider_sync.cancellation import SyncCancelled, cancelled_by_signals, clean_up_fully
from airflow_provider_sync.escalation import Canceller
from airflow_provider_sync.exceptions import SyncError, wrap_unexpected_errors

STUCK = """
import sqlite3, threading, time
from airflow_provider_sync import cancellation, escalation
cancellation.ROUND_SECONDS = 0.2
endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
clock = time.pthread_getcpuclockid(threading.main_thread().ident)

def tell(began):
    while time.clock_gettime(clock) < began + 0.1:  # only the statement takes so much
        time.sleep(0.01)
    print("at work", flush=True)

with cancellation.cancelled_by_signals() as ending, ending.watching(escalation.Canceller(threading.Event().wait)):
    threading.Thread(target=tell, args=[time.clock_gettime(clock)]).start()
    sqlite3.connect(":memory:").execute(endless).fetchall()
"""
"""A statement that nobody can cancel once it runs: the canceller itself waits for ever, as over a dead connection."""


def test_a_later_signal_ends_what_cannot_be_cancelled() -> None:
    """If a statement cannot be cancelled, a later signal ends the process with its usual exit code."""
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(0.3)
            except subprocess.TimeoutExpired:
                continue
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM


def test_a_lost_request_is_repeated() -> None:
    """A database may lose a request to cancel that overtakes its statement; the next one ends the statement soon."""
    requests: list[bool] = []
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:

        def ask() -> bool:
            requests.append(True)
            if len(requests) > 1:
                connection.interrupt()
            return True

        too_late = threading.Timer(60, connection.interrupt)
        too_late.start()
        with (
            pytest.raises(SyncCancelled),
            cancelled_by_signals() as ending,
            ending.watching(Canceller(ask)),
            signalled_at_work(),
        ):
            connection.execute(endless)
        too_late.cancel()
    assert len(requests) > 1


@contextmanager
def signalled_at_work() -> Iterator[None]:
    """Send SIGTERM once the main thread is in the statement of the block: only that takes so much of the processor."""
    clock = time.pthread_getcpuclockid(threading.get_ident())
    at_work = time.clock_gettime(clock) + 0.1

    def send() -> None:
        while time.clock_gettime(clock) < at_work:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        sending.join()


def test_a_request_that_comes_too_late() -> None:
    """Once a canceller has settled, it leaves what others do next on the connection alone."""
    requests: list[bool] = []

    def ask() -> bool:
        requests.append(True)
        return True

    canceller = Canceller(ask)
    canceller()
    canceller.settle()
    canceller()
    canceller.wait(5)
    assert requests == [True]


@pytest.mark.parametrize(("earlier", "ends"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)], ids=["terminal", "nohup"])
def test_a_closed_terminal_ends_a_sync(earlier: signal.Handlers, ends: bool) -> None:
    """SIGHUP ends a sync like SIGTERM, unless it was started by nohup."""
    before = signal.signal(signal.SIGHUP, earlier)
    try:
        with pytest.raises(SyncCancelled) if ends else nullcontext(), cancelled_by_signals() as cancellation:
            os.kill(os.getpid(), signal.SIGHUP)
        assert cancellation.cancelled == ends
        assert signal.getsignal(signal.SIGHUP) == earlier
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_library_turns_into_an_error(number: signal.Signals) -> None:
    """A signal that SQLite turns into an error ends the sync as a signal, not as a failure."""

    def end() -> None:
        signal.raise_signal(number)

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("f", 0, end)
        for block in (wrap_unexpected_errors, in_an_error):
            with pytest.raises(KeyboardInterrupt), cancelled_by_signals(), block():
                connection.execute("SELECT f()")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_whose_exception_python_ignores(number: signal.Signals) -> None:
    """A signal in a finalizer, where Python ignores exceptions, still ends the sync; other exceptions are shown."""

    class Signalled:
        def __del__(self) -> None:
            signal.raise_signal(number)

    hook = sys.unraisablehook
    seen: list[object] = []
    sys.unraisablehook = lambda unraisable: seen.append(unraisable.exc_type)
    try:
        with pytest.raises(KeyboardInterrupt), cancelled_by_signals():
            go_on_after(Signalled)
        with cancelled_by_signals():
            Broken()
    finally:
        sys.unraisablehook = hook
    assert seen == [ZeroDivisionError]


def go_on_after(finalized: type) -> None:
    """Finalize an object of this class, and work on."""
    finalized()
    threading.Event().wait(10)


class Broken:
    """Cannot be finalized."""

    def __del__(self) -> None:
        raise ZeroDivisionError


@contextmanager
def in_an_error() -> Iterator[None]:
    """Translate errors, as databases do."""
    try:
        yield
    except sqlite3.Error as error:
        raise SyncError(str(error)) from error


def test_clean_up_that_a_signal_interrupts_is_done_again() -> None:
    """Clean-up that a signal interrupts is repeated, and the signal ends the sync; other errors are raised at once."""
    attempts = []

    def work() -> None:
        attempts.append(None)
        if len(attempts) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SyncCancelled), cancelled_by_signals():
        clean_up_fully(work)
    assert len(attempts) == 2

    def fail() -> None:
        attempts.append(None)
        raise SyncError("broken")

    with pytest.raises(SyncError), cancelled_by_signals():
        clean_up_fully(fail)
    assert len(attempts) == 3
