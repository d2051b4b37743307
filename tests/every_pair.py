"""Parameters of a test whose values meet in pairs, where all combinations would take long and add nothing."""

from __future__ import annotations

from collections import defaultdict
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
    chosen = _choose(list(product(*map(range, map(len, values)))))
    return [tuple(several[number] for several, number in zip(values, best, strict=True)) for best in chosen]


def needless(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return tests that can be left out: each two values of their parameters meet in another test of that function.

    Values that meet in a quick test need no slow one. That holds for parameters of fixtures, too, such as engines: each one
    meets each value of each other parameter. Those of one ``parametrize`` belong together. Of a function with fewer than three
    parameters, or with the mark ``every_combination``, nothing is left out.
    """
    functions = defaultdict(list)
    for item in items:
        if not item.get_closest_marker("every_combination"):
            functions[item.nodeid.partition("[")[0]].append((item, _values(item)))
    found = []
    for tests in functions.values():
        if len(tests[0][1]) > 2:
            quick = [values for item, values in tests if not item.get_closest_marker("slow")]
            slow = [values for item, values in tests if item.get_closest_marker("slow")]
            chosen = {*_choose(quick), *_choose(slow, quick)}
            found += [item for item, values in tests if values not in chosen]
    return found


def _values(item: pytest.Item) -> tuple[int, ...]:
    """Return a number for each parameter of a test; within its function, equal numbers are of the same value."""
    left = dict(getattr(getattr(item, "callspec", None), "params", {}))
    values = []
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        together = tuple(id(left.pop(name.strip())) for name in names if name.strip() in left)
        values.append(hash(together))
    return (*values, *map(id, left.values()))


def _choose(left: Sequence[tuple[int, ...]], given: Iterable[tuple[int, ...]] = ()) -> list[tuple[int, ...]]:
    """Choose few combinations, so that each pair of their values meets in one of them or in one of those that are given."""
    unmet = {pair for combination in left for pair in _pairs(combination)}
    unmet -= {pair for combination in given for pair in _pairs(combination)}
    chosen = []
    while unmet:
        # Of equally good ones the first.
        best = max(left, key=lambda combination: len(unmet & _pairs(combination)))
        unmet -= _pairs(best)
        chosen.append(best)
    return chosen


def _pairs(combination: tuple[int, ...]) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the pairs that meet in a combination: of each two parameters, their numbers and those of their values."""
    return set(combinations(enumerate(combination), 2))
