"""Finding the differences of two tables from digests alone: whatever the rows, applying what was found makes them equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.databases.table_slice import SegmentDigest
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.row_text import row_digest
from airflow_provider_sync.sync.tables.reconcile import (
    Key,
    RowChanges,
    changed_rows,
    differing_segments,
    in_slices,
    joined,
    segment_ranges_of,
)

Rows = Mapping[Key, str]

KEYS = st.integers(-40, 300).map(lambda number: (str(number),))
TABLES = st.dictionaries(KEYS, st.sampled_from(["a", "b", "c"]), max_size=120)


def digests(rows: Rows) -> dict[Key, int]:
    """Digest every row."""
    return {key: row_digest(f"{key[0]}|{value}".encode()) for key, value in rows.items()}


def number_of(key: Key, digest: int, partitioning: Partitioning) -> int:
    """Number a row's segment, as databases do."""
    if partitioning.scheme == "row_hash":
        return digest >> partitioning.shift
    if int(key[0]) < partitioning.low:
        return -1
    return (
        min(partitioning.segment_count, (int(key[0]) - partitioning.low) // partitioning.width)
        if int(key[0]) <= partitioning.high
        else partitioning.segment_count
    )


def segments(rows: Rows, partitioning: Partitioning) -> dict[int, SegmentDigest]:
    """Digest every segment."""
    found: dict[int, SegmentDigest] = {}
    for key, digest in digests(rows).items():
        number = number_of(key, digest, partitioning)
        held = found.get(number, SegmentDigest(0, 0))
        found[number] = SegmentDigest(held.rows + 1, (held.sum + digest) % 2**64)
    return found


def in_segments(rows: Rows, partitioning: Partitioning, numbers: Iterable[int]) -> dict[Key, int]:
    """Digest the rows of some segments."""
    wanted = set(numbers)
    return {key: digest for key, digest in digests(rows).items() if number_of(key, digest, partitioning) in wanted}


@st.composite
def partitionings(draw: st.DrawFn, rows: Rows) -> Partitioning:
    """Cut as a source does: by the bounds of its keys, or by digests."""
    parts = 1 << draw(st.integers(0, 6))
    if not rows or draw(st.booleans()):
        return Partitioning(scheme="row_hash", segment_count=parts)
    keys = [int(key[0]) for key in rows]
    return Partitioning(scheme="key_range", segment_count=parts, low=min(keys), high=max(keys))


@given(st.data(), TABLES, TABLES, st.integers(1, 50))
def test_applying_the_changes_makes_the_target_equal(data: st.DataObject, source: Rows, target: Rows, most: int) -> None:
    """Whatever two tables hold, however they are cut and sliced, the changes make them equal."""
    partitioning = data.draw(partitionings(source))
    one, other = segments(source, partitioning), segments(target, partitioning)
    numbers = differing_segments(one, other)
    rows = {number: sum(side[number].rows for side in (one, other) if number in side) for number in numbers}
    slices = [
        changed_rows(in_segments(source, partitioning, part), in_segments(target, partitioning, part))
        for part in in_slices(numbers, rows, most)
    ]
    changes = joined(slices)

    result = {key: value for key, value in target.items() if key not in changes.deleted}
    result |= {key: source[key] for key in changes.wanted}
    assert result == source
    assert set(changes.inserted) == source.keys() - target.keys()
    assert set(changes.deleted) == target.keys() - source.keys()
    assert set(changes.updated) == {key for key in source.keys() & target.keys() if source[key] != target[key]}
    assert len(changes) == len(set(changes.inserted) | set(changes.updated) | set(changes.deleted))


@given(TABLES, st.data())
def test_equal_tables_have_no_differing_segment(rows: Rows, data: st.DataObject) -> None:
    """Equal rows have equal segments, however they are cut."""
    partitioning = data.draw(partitionings(rows))
    assert differing_segments(segments(rows, partitioning), segments(dict(reversed(rows.items())), partitioning)) == []


@given(st.sets(st.integers(-1, 80)).map(sorted))
def test_runs_hold_exactly_the_numbers(numbers: list[int]) -> None:
    """Stretches of segments are ascending, apart from each other, and hold the numbers and no more."""
    segment_ranges = segment_ranges_of(numbers)
    assert [number for first, last in segment_ranges for number in range(first, last + 1)] == numbers
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(segment_ranges))


@given(st.dictionaries(st.integers(0, 60), st.integers(1, 30)), st.integers(1, 60))
def test_slices_hold_every_segment_once_and_no_more_rows_than_asked(rows: dict[int, int], most: int) -> None:
    """Slices keep the order, and without its last segment each has fewer rows than the limit."""
    numbers = sorted(rows)
    slices = list(in_slices(numbers, rows, most))
    assert [number for part in slices for number in part] == numbers
    assert all(sum(rows[number] for number in part[:-1]) < most for part in slices)


def test_a_row_that_changes_its_bucket_is_updated() -> None:
    """A row that one slice deletes and another inserts is one that changed: an update, not both."""
    changes = joined([RowChanges(deleted=(("a",), ("b",))), RowChanges(inserted=(("a",), ("c",)), updated=(("d",),))])
    assert (changes.inserted, changes.updated, changes.deleted) == ((("c",),), (("d",), ("a",)), (("b",),))
    assert changes.wanted == (("c",), ("d",), ("a",))
