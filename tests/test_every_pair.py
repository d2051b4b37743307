"""The choice of combinations leaves out no pair of values."""

from __future__ import annotations

from itertools import combinations, product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.every_pair import combinations_of_pairs, needless


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


def made_tests(
    *, quick: list[str], rows: list[tuple[str, str]] | None = None, every_combination: bool = False, **values: list[str]
) -> list[Any]:
    """Make stand-ins for the tests of one function, with all combinations of its parameters.

    :param quick: the engines whose tests are not slow
    :param rows: values of two more parameters, which one ``parametrize`` gives
    :param every_combination: whether the function has the mark of that name
    """
    marks = [SimpleNamespace(args=(name, several)) for name, several in values.items() if name != "engine"]
    marks += [SimpleNamespace(args=("given, expected", rows))] if rows else []
    tests = []
    for number, (*chosen, row) in enumerate(product(*values.values(), rows or [()])):
        params = {**dict(zip(values, chosen, strict=True)), **dict(zip(("given", "expected"), row, strict=False))}
        marked = {"slow"} if params["engine"] not in quick else set()
        marked |= {"every_combination"} if every_combination else set()
        tests.append(
            SimpleNamespace(
                nodeid=f"test_it[{number}]",
                callspec=SimpleNamespace(params=params),
                iter_markers=lambda _name: iter(marks),
                get_closest_marker=lambda name, marked=marked: name if name in marked else None,
            )
        )
    return tests


ENGINES, PROTOCOLS, WAYS = ["sqlite", "mysql", "duckdb"], ["1", "2"], ["one go", "steps", "dry run"]


def test_what_is_left_has_each_pair() -> None:
    """Without the needless tests, any two values still meet, and values that meet in a quick test need no slow one."""
    tests = made_tests(quick=["sqlite"], engine=ENGINES, protocol=PROTOCOLS, way=WAYS)
    left_out = needless(tests)
    left = [test.callspec.params for test in tests if test not in left_out]
    for one, other in combinations(("engine", "protocol", "way"), 2):
        assert len({(params[one], params[other]) for params in left}) == len(
            {(test.callspec.params[one], test.callspec.params[other]) for test in tests}
        )
    # Of six tests of each slow engine, its three ways stay, with both versions.
    assert [params["engine"] for params in left] == ["sqlite"] * 6 + ["mysql"] * 3 + ["duckdb"] * 3


def test_quick_tests_are_left_out() -> None:
    """Quick tests are left out, too, if their values meet in other quick ones."""
    tests = made_tests(quick=["sqlite", "duckdb"], engine=ENGINES, protocol=PROTOCOLS, way=WAYS)
    left_out = needless(tests)
    left = [test.callspec.params["engine"] for test in tests if test not in left_out]
    assert sorted(left) == ["duckdb"] * 3 + ["mysql"] * 3 + ["sqlite"] * 3


def test_every_combination_stays() -> None:
    """With the mark, no test is left out."""
    assert needless(made_tests(quick=["sqlite"], every_combination=True, engine=ENGINES, protocol=PROTOCOLS, way=WAYS)) == []


def test_two_parameters_have_all_combinations() -> None:
    """Of a function with two parameters, nothing is needless."""
    assert needless(made_tests(quick=["sqlite"], engine=ENGINES, protocol=PROTOCOLS)) == []


def test_rows_of_values_meet_each_engine() -> None:
    """Values that are given together are one, and each such row meets each engine."""
    rows = [("a", "1"), ("a", "2"), ("b", "1")]
    tests = made_tests(quick=["sqlite"], engine=ENGINES, protocol=PROTOCOLS, rows=rows)
    left_out = needless(tests)
    left = [test.callspec.params for test in tests if test not in left_out]
    assert len(left) == 6 + 3 + 3
    met = {(params["engine"], params["given"], params["expected"]) for params in left}
    assert met == {(engine, *row) for engine, row in product(ENGINES, rows)}
