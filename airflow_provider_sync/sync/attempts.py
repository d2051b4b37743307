"""The retry loop of ``sync``, for tables and directories, in one task and in steps.

The client repeats requests that fail before their response begins. This loop repeats work whose response was cut off, since some
of its rows may be staged already, and work whose source or target changed in the meantime. Any other error ends the work at once
and is left to Airflow's retries or the next run.
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
"""Maximum number of attempts if source or target changes during each of them."""

Result = TypeVar("Result")


def never(_: SyncError) -> bool:
    """Return ``False``: no error counts as a change of source or target."""
    return False


def source_changed(error: SyncError) -> bool:
    """Tell whether an attempt failed because the source changed between two of its responses."""
    return isinstance(error, SourceChangedError)


class Attempts:
    """The attempts at one piece of work, counted.

    :param client: its ``retries`` limit how often work is repeated after an incomplete response
    :ivar moved: number of attempts that failed because source or target changed
    :ivar cut: whether a response was incomplete
    """

    def __init__(self, client: SyncClient) -> None:
        self.moved = 0
        self.cut = False
        self._client = client
        self._cut_in_a_row = 0

    def run(self, work: Callable[[], Result], *, is_moved: Callable[[SyncError], bool] = never) -> Result:
        """Return what ``work`` returns, repeating it after failures that another attempt may fix.

        :param is_moved: tells whether an error means that source or target changed; by default, work is repeated only after
            incomplete responses
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
        """Whether another attempt is allowed after an incomplete response."""
        return self._cut_in_a_row < self._client.retries and not self._client.gave_up

    def pause(self, error: IncompleteStreamError) -> None:
        """Wait before the next attempt, longer each time.

        :raises IncompleteStreamError: the given error, if no attempt is left or the error itself forbids another one
        """
        self.cut = True
        if error.given_up or not self.left:
            error.given_up = True
            raise error
        time.sleep(random.uniform(0, min(MAX_PAUSE, 0.5 * 2**self._cut_in_a_row)))  # noqa: S311  # no secret, only jitter
        self._cut_in_a_row += 1

    def may_repeat(self, error: IncompleteStreamError) -> bool:
        """Wait like :meth:`pause`; return ``False`` if this work must not be repeated, but other work may still be tried.

        :raises IncompleteStreamError: if nothing may be tried any more
        """
        try:
            self.pause(error)
        except IncompleteStreamError:
            if self._client.gave_up:
                raise
            return False
        return True

    def progress(self) -> None:
        """Reset the count of incomplete responses, since some of the requested data has arrived."""
        self._cut_in_a_row = 0


def repeated(client: SyncClient, work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns, repeating it after incomplete responses.

    :raises IncompleteStreamError: if the response was incomplete in every attempt
    """
    return Attempts(client).run(work)
