"""What ends a sync from outside, where the main thread cannot be reached."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

STUCK = """
import sqlite3, threading
from airflow_provider_sync import cancellation
cancellation.ROUND_SECONDS = 0.2
endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
with cancellation.cancelled_by_signals() as ending, ending.watching(threading.Event().wait):
    print("at work", flush=True)
    sqlite3.connect(":memory:").execute(endless).fetchall()
"""
"""A statement that nobody can cancel: the canceller itself waits for ever, as over a connection that does not answer."""


def test_a_later_signal_ends_what_cannot_be_cancelled() -> None:
    """Where neither a statement nor its cancelling comes to an end, a later signal ends the process by its usual code."""
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
