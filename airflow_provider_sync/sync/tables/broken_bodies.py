"""Trying again when the body of an answer broke off: with a pause that grows, as often as the client's ``retries`` says.

A request that fails before its answer begins is repeated by the client itself. What comes after that may already be in a staging
table, so whoever put it there begins again, or goes on with it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import IncompleteStreamError

MAX_PAUSE = 30.0
"""Longest pause between two tries, in seconds."""

Result = TypeVar("Result")


class BodyRetries:
    """The tries that are left for one answer, or for one piece of work that needs several.

    :param client: whose ``retries`` hold
    """

    def __init__(self, client: SyncClient) -> None:
        self._client = client
        self._failed = 0

    @property
    def left(self) -> bool:
        """Whether there is a try left."""
        return self._failed < self._client.retries and not self._client.gave_up

    def pause(self, error: IncompleteStreamError) -> None:
        """Wait before the next try.

        :raises IncompleteStreamError: the error itself, when no try is left, or was by whoever raised it
        """
        if error.given_up or not self.left:
            error.given_up = True
            raise error
        time.sleep(random.uniform(0, min(MAX_PAUSE, 0.5 * 2**self._failed)))  # noqa: S311  # no secret, only jitter
        self._failed += 1

    def progress(self) -> None:
        """Restart the count of attempts, since some of what was asked for has arrived."""
        self._failed = 0


def repeated(client: SyncClient, work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns, and begin it again when the body of an answer breaks off.

    :raises IncompleteStreamError: when it broke off each time
    """
    retries = BodyRetries(client)
    while True:
        try:
            return work()
        except IncompleteStreamError as error:
            retries.pause(error)
