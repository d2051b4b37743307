"""One line of the benchmark's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """A piece of work, how long it took, and beside what.

    :ivar seconds: of the work itself
    :ivar peer: what it is compared with
    :ivar peer_seconds: of the peer, on the same data in the same run
    :ivar note: rates, bytes and memory
    """

    work: str
    seconds: float
    peer: str = ""
    peer_seconds: float | None = None
    note: str = ""


def show(results: Sequence[Result]) -> str:
    """Render the results as a Markdown table."""
    lines = ["| work | seconds | measured against | its seconds | ratio | notes |", "|---|---:|---|---:|---:|---|"]
    for result in results:
        ratio = f"{result.seconds / result.peer_seconds:.2f}" if result.peer_seconds else ""
        peer_seconds = f"{result.peer_seconds:.2f}" if result.peer_seconds else ""
        lines.append(f"| {result.work} | {result.seconds:.2f} | {result.peer} | {peer_seconds} | {ratio} | {result.note} |")
    return "\n".join(lines)
