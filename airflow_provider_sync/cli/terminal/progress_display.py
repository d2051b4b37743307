"""Progress of long work on standard error: bars on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial

from airflow_provider_sync.cli.terminal.styles import is_styled, styled_console
from airflow_provider_sync.sync.progress import Progress, ProgressLines, silent

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Show the progress of everything that happens inside the block.

    All output inside the block goes to standard error, too: standard output is for results, and Airflow would log there if one of
    its connections is named.

    :param quiet: show no progress
    """
    if quiet:
        with redirect_stdout(sys.stderr):
            yield silent
        return
    if not is_styled(sys.stderr):
        with redirect_stdout(sys.stderr):
            yield ProgressLines(partial(print, file=sys.stderr), every=SECONDS_BETWEEN_LINES)
        return
    # Imported here: a pipe needs no bars, and rich takes a while to import.
    from airflow_provider_sync.cli.terminal.progress_bars import Bars

    with redirect_stdout(sys.stderr), Bars(styled_console(sys.stderr)) as bars:
        yield bars.take
