"""The one loop that tries a piece of work again, for tables and directories, in one go and in steps.

A request that fails before its answer begins is repeated by the client. What is repeated here is work whose answer ended before
its end, since rows of it may be in a staging table already, and work whose source or target changed meanwhile. Anything else
ends the work at once; Airflow's retries and the next run come after that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import IncompleteStreamError, SourceChangedError, SyncError

MAX_PAUSE = 30.0
"""Longest pause between two attempts, in seconds."""

MAX_MOVES = 3
"""Attempts at work whose source or target changes during each of them."""

Result = TypeVar("Result")


def never(_: SyncError) -> bool:
    """Count no error as a change of source or target."""
    return False


def source_changed(error: SyncError) -> bool:
    """Whether an attempt failed because the source changed between two of its answers."""
    return isinstance(error, SourceChangedError)


class Attempts:
    """The attempts at one piece of work, counted.

    :param client: its ``retries`` say how often incomplete answers are asked for again
    :ivar moved: attempts that failed because source or target changed
    :ivar cut: whether an answer was incomplete
    """

    def __init__(self, client: SyncClient) -> None:
        self.moved = 0
        self.cut = False
        self._client = client
        self._cut_in_a_row = 0

    def run(self, work: Callable[[], Result], *, is_moved: Callable[[SyncError], bool] = never) -> Result:
        """Return what ``work`` returns, after as many attempts as it takes and is allowed.

        :param is_moved: whether an error says that source or target changed, so that the next attempt may succeed; without,
            only incomplete answers are asked for again
        :raises SyncError: the error of the last attempt
        """
        while True:
            try:
                return work()
            except IncompleteStreamError as error:
                self.pause(error)
            except SyncError as error:
                self.moved += is_moved(error)
                if not is_moved(error) or self.moved == MAX_MOVES:
                    raise

    @property
    def left(self) -> bool:
        """Whether there is an attempt left after an incomplete answer."""
        return self._cut_in_a_row < self._client.retries and not self._client.gave_up

    def pause(self, error: IncompleteStreamError) -> None:
        """Wait, longer each time, before the answer is asked for again.

        :raises IncompleteStreamError: the error itself, when no attempt is left here or where it came from
        """
        self.cut = True
        if error.given_up or not self.left:
            error.given_up = True
            raise error
        time.sleep(random.uniform(0, min(MAX_PAUSE, 0.5 * 2**self._cut_in_a_row)))  # noqa: S311  # no secret, only jitter
        self._cut_in_a_row += 1

    def may_repeat(self, error: IncompleteStreamError) -> bool:
        """Wait as :meth:`pause` does; return ``False`` when no attempt is left at this, and something else may be tried.

        :raises IncompleteStreamError: when nothing is to be tried any more
        """
        try:
            self.pause(error)
        except IncompleteStreamError:
            if self._client.gave_up:
                raise
            return False
        return True

    def progress(self) -> None:
        """Count incomplete answers from zero, since some of what was asked for has arrived."""
        self._cut_in_a_row = 0


def repeated(client: SyncClient, work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns, and begin it again when an answer is incomplete.

    :raises IncompleteStreamError: when the answer was incomplete each time
    """
    return Attempts(client).run(work)
