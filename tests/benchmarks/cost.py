"""What a piece of work on files cost, ours and theirs alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.result import Line, compared


@dataclass(frozen=True)
class Cost:
    """What one run of one work cost.

    :ivar seconds: what is compared: the whole program of a peer, and the seconds of our report
    :ivar cpu: seconds at work, of all processes of both sides
    :ivar wire: bytes in both directions
    :ivar read: bytes that both sides read from files; ``None`` where it was not measured
    :ivar process: seconds from the start of the client's process to its end
    """

    seconds: float
    cpu: float
    wire: int
    read: int | None
    process: float

    def note(self) -> str:
        """Write everything but the seconds for people."""
        read = "" if self.read is None else f", {amount(self.read)} read"
        return f"CPU {self.cpu:.2f} s, {amount(self.wire)} on the wire{read}"


def medians(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure."""
    read = [cost.read for cost in costs if cost.read is not None]
    return Cost(
        seconds=median(cost.seconds for cost in costs),
        cpu=median(cost.cpu for cost in costs),
        wire=int(median(cost.wire for cost in costs)),
        read=int(median(read)) if read else None,
        process=median(cost.process for cost in costs),
    )


def side_by_side(work: str, ours: Sequence[Cost], peer: str, theirs: Sequence[Cost], at_most: float | None) -> Line:
    """Return the line of a work, from all rounds of both."""
    our, their = medians(ours), medians(theirs)
    note = f"{our.note()}, process {our.process:.2f} s; theirs: {their.note()}"
    return compared(work, our.seconds, peer, their.seconds, at_most, note)


def in_turn(number: int, ours: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Do a work of one round by both, every other round in the other order, each with nothing left to write from before."""
    for work in (ours, theirs) if number % 2 == 0 else (theirs, ours):
        os.sync()
        work()


def amount(count: float) -> str:
    """Write a number of bytes for people, small ones too."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count:.0f} B"


def wait_until_old(path: Path, seconds: float = 3.0) -> None:
    """Wait until a file written last is so old that a cache may trust its times."""
    age = time.time() - path.stat().st_ctime
    time.sleep(max(0.0, seconds - age))
