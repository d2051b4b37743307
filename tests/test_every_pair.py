"""The choice of combinations leaves out no pair of values."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.every_pair import combinations_of_pairs


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_each_pair_meets(sizes: list[int]) -> None:
    """Any two values of two parameters are in one of the combinations."""
    values = [[f"{name}{number}" for number in range(size)] for name, size in zip("abcd", sizes, strict=False)]
    chosen = combinations_of_pairs(values)
    for one, other in combinations(values, 2):
        for pair in product(one, other):
            assert any(set(pair) <= set(combination) for combination in chosen)


@pytest.mark.parametrize(("sizes", "number"), [((2, 2, 2), 4), ((3, 2, 2), 6), ((2, 2, 30), 60)])
def test_few_are_enough(sizes: tuple[int, ...], number: int) -> None:
    """No more combinations are chosen than the two longest lists of values need."""
    assert len(combinations_of_pairs([range(size) for size in sizes])) == number
