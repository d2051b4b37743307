"""Parameters of a test whose values meet in pairs, where all combinations would take long and add nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any

import pytest


def every_pair(**values: Iterable[Any]) -> pytest.MarkDecorator:
    """Run a test with few combinations of its parameters: any two values of two parameters meet in one of them.

    A mistake that takes three particular values at once is not found, and most take one or two.

    :param values: the values of each parameter, which name the test by their texts
    """
    chosen = combinations_of_pairs([list(several) for several in values.values()])
    ids = ["-".join(map(str, combination)) for combination in chosen]
    return pytest.mark.parametrize(tuple(values), chosen, ids=ids)


def combinations_of_pairs(values: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Choose combinations, always the same ones, in which each value of each parameter meets each one of every other."""
    left = list(product(*map(range, map(len, values))))
    unmet = {pair for combination in left for pair in _pairs(combination)}
    chosen = []
    while unmet:
        # Of equally good ones the first.
        best = max(left, key=lambda combination: len(unmet & _pairs(combination)))
        unmet -= _pairs(best)
        chosen.append(tuple(several[number] for several, number in zip(values, best, strict=True)))
    return chosen


def _pairs(combination: tuple[int, ...]) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the pairs that meet in a combination: of each two parameters, their numbers and those of their values."""
    return set(combinations(enumerate(combination), 2))
