"""The kinds of faults: each is tried many times, every time at another place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.database_servers import DatabaseServers

Trial = Callable[[random.Random], str]
"""Disturb one sync, judge what it left, and say which state that was.

It raises an error when a promise did not hold. All that is random comes from the argument.
"""


class Unavailable(Exception):
    """This machine cannot try a kind of fault; the message says why."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    :ivar name: for people and for the command line
    :ivar tells: what happens, in a few words
    :ivar prepared: give the trial on fresh databases in a folder
    :ivar tries: in the whole suite
    """

    name: str
    tells: str
    prepared: Callable[[DatabaseServers, Path], AbstractContextManager[Trial]]
    tries: int


def all_kinds() -> Iterator[Kind]:
    """Yield every kind of fault, cheap ones first."""
    from tests.faults import crashes, crowds, disks, lies, signals, streams

    yield from streams.KINDS
    yield from lies.KINDS
    yield from crashes.KINDS
    yield from signals.KINDS
    yield from crowds.KINDS
    yield from disks.KINDS
