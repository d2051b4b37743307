"""Show the current step on standard error, for commands that show their results only at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_sync.cli.terminal.styles import is_styled, styled_console
from airflow_provider_sync.printable import printable


@contextmanager
def show_steps(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step on a terminal; its line is removed at the end of the block.

    :param quiet: show nothing, as in a pipe
    """
    if quiet or not is_styled(sys.stderr):
        yield lambda _step: None
        return
    with styled_console(sys.stderr).status("") as status:
        yield lambda step: status.update(printable(step, 200))
