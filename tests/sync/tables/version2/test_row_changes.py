"""Finding the differences of two tables from digests alone: whatever the rows, applying what was found makes them equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.databases.table_slice import Key, SegmentDigest
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.row_text import row_digest
from airflow_provider_sync.sync.tables.version2.batch_sizes import cut_slices
from airflow_provider_sync.sync.tables.version2.row_changes import (
    RowChanges,
    changed_rows,
    changes_of_mode,
    combine_changes,
    with_deleted,
    with_updated,
)
from airflow_provider_sync.sync.tables.version2.segment_digests import differing_segments, digest_by_segment

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
    """For any two tables and any partitioning and slices, the changes make them equal."""
    partitioning = data.draw(partitionings(source))
    one, other = segments(source, partitioning), segments(target, partitioning)
    numbers = differing_segments(one, other)
    rows = {number: sum(side[number].rows for side in (one, other) if number in side) for number in numbers}
    slices = [
        changed_rows(in_segments(source, partitioning, part), in_segments(target, partitioning, part))
        for part in cut_slices(numbers, rows, most)
    ]
    changes = combine_changes(slices)

    result = {key: value for key, value in target.items() if key not in changes.deleted}
    result |= {key: source[key] for key in changes.wanted}
    assert result == source
    assert set(changes.inserted) == source.keys() - target.keys()
    assert set(changes.deleted) == target.keys() - source.keys()
    assert set(changes.updated) == {key for key in source.keys() & target.keys() if source[key] != target[key]}
    assert len(changes) == len(set(changes.inserted) | set(changes.updated) | set(changes.deleted))


@given(TABLES, st.data())
def test_rows_are_summed_by_the_segments_that_databases_put_them_in(rows: Rows, data: st.DataObject) -> None:
    """The sums of row digests by segment are the digests of the segments."""
    partitioning = data.draw(partitionings(rows))
    assert digest_by_segment(partitioning, digests(rows).items()) == segments(rows, partitioning)


@given(TABLES, st.data())
def test_equal_tables_have_no_differing_segment(rows: Rows, data: st.DataObject) -> None:
    """Equal rows have equal segments for any partitioning."""
    partitioning = data.draw(partitionings(rows))
    assert differing_segments(segments(rows, partitioning), segments(dict(reversed(rows.items())), partitioning)) == []


def test_a_row_that_changes_its_segment_is_updated() -> None:
    """A row that one slice deletes and another inserts is one update."""
    changes = combine_changes([RowChanges(deleted=(("a",), ("b",))), RowChanges(inserted=(("a",), ("c",)), updated=(("d",),))])
    assert (changes.inserted, changes.updated, changes.deleted) == ((("c",),), (("d",), ("a",)), (("b",),))
    assert changes.wanted == (("c",), ("d",), ("a",))


def test_rows_that_are_elsewhere_are_reclassified() -> None:
    """An apparent delete that is at the source, or an apparent insert at the target, is an update."""
    changes = RowChanges(inserted=(("a",), ("b",)), updated=(("c",),), deleted=(("d",), ("e",)))
    assert with_updated(changes, at_source={("d",): 1}, at_target={("b",)}) == RowChanges(
        inserted=(("a",),), updated=(("c",), ("d",), ("b",)), deleted=(("e",),)
    )


def test_rows_that_go_meanwhile_are_deleted() -> None:
    """A row that is gone from the source is a delete if the target has it, and no change if not."""
    changes = RowChanges(inserted=(("a",), ("b",)), updated=(("c",),), deleted=(("d",),))
    assert with_deleted(changes, {("b",), ("c",)}) == RowChanges(inserted=(("a",),), deleted=(("d",), ("c",)))


@given(source=TABLES, target=TABLES)
def test_modes_leave_rows_out(source: Rows, target: Rows) -> None:
    """``upsert`` writes a mirror's inserts and updates, ``append`` its inserts, and marks are its deletes."""
    changes = changed_rows(digests(source), digests(target))
    assert changes_of_mode(changes, "upsert") == RowChanges(inserted=changes.inserted, updated=changes.updated)
    assert changes_of_mode(changes, "append") == RowChanges(inserted=changes.inserted)
    assert changes_of_mode(changes, "mirror") is changes
    assert changes_of_mode(changes, "soft_delete") is changes
    assert changes_of_mode(changes, "history") is changes
