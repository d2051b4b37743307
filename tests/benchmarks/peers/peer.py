"""What a peer is to the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.pair import Pair, Work
from tests.benchmarks.rows import Rows


@dataclass(frozen=True)
class Peer:
    """A tool, and the works for which somebody would take it.

    :ivar run: does the work once and returns its seconds; raises when it was not done
    :ivar missing: says why it cannot be used for these rows here, or nothing
    """

    name: str
    engines: frozenset[str]
    works: frozenset[Work]
    run: Callable[[Pair, Work], float]
    missing: Callable[[Rows], str] = lambda rows: ""
