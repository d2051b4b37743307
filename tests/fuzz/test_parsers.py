"""Any bytes into every parser, by hypothesis; what atheris or hypothesis once found is tried again."""

from __future__ import annotations

from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.parsers import ERRORS, PARSERS
from tests.fuzz.seeds import SEEDS

CORPUS = Path(__file__).parent / "corpus"
_MEGABYTE = 1 << 20


def _kept() -> list[Path]:
    return sorted(path for path in CORPUS.rglob("*") if path.is_file())


def _mutated(seed: bytes) -> st.SearchStrategy[bytes]:
    """Change a valid input in a few places, or cut it."""
    edit = st.tuples(st.integers(0, len(seed)), st.integers(0, 6), st.binary(max_size=6))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = seed
        for place, removed, added in edits:
            data = data[:place] + added + data[place + removed :]
        return data

    return st.lists(edit, min_size=1, max_size=4).map(apply)


def _inputs(name: str) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=200), *map(_mutated, SEEDS[name]))


def _try(name: str, data: bytes) -> None:
    try:
        PARSERS[name](data)
    except ERRORS:
        return


@pytest.mark.parametrize("name", list(PARSERS))
def test_valid_inputs_are_read(name: str) -> None:
    """The seed inputs do not make the parser fail unexpectedly."""
    for seed in SEEDS[name]:
        _try(name, seed)


@pytest.mark.parametrize("tries", [100, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(PARSERS))
def test_any_bytes_give_a_value_or_an_error_of_a_sync(name: str, tries: int, record_property: pytest.RecordProperty) -> None:
    """For any bytes, a parser returns or raises an error of this package."""
    count = 0

    # The short run is the same each time.
    @settings(max_examples=tries, deadline=None, derandomize=tries == 100, suppress_health_check=list(HealthCheck))
    @given(_inputs(name))
    @example(b"")
    def run(data: bytes) -> None:
        nonlocal count
        count += 1
        _try(name, data)

    run()
    record_property("tries", count)
    assert count >= min(tries, 100) / 2


@pytest.mark.parametrize("path", _kept(), ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.timeout(20)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    """Inputs that broke a parser, or took much time or memory, are handled now."""
    before = _peak()
    _try(path.parent.name, path.read_bytes())
    assert _peak() - before < 200 * _MEGABYTE


def _peak() -> int:
    """Return the most memory that this process ever took, in bytes."""
    return getrusage(RUSAGE_SELF).ru_maxrss * 1024
