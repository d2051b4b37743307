"""What messages may say."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.checks import (
    MAX_SEGMENTS,
    check_described,
    check_partitioning,
    check_row_digests,
    check_rows,
    check_segment_ranges,
    check_segments,
)
from airflow_provider_sync.protocol.v2.messages import (
    ColumnDescription,
    Described,
    Partitioning,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_INTEGER = LogicalType(kind=LogicalKind.INTEGER)
_TEXT = LogicalType(kind=LogicalKind.TEXT)
_RANGE = Partitioning(scheme="key_range", segment_count=4, low=-7, high=12)
_BUCKET = Partitioning(scheme="row_hash", segment_count=8)
_ALL = RequestedSlice(name="orders")


def _column(name: str, kind: LogicalType = _INTEGER) -> ColumnDescription:
    return ColumnDescription(name=name, type=kind)


_DESCRIBED = Described(columns=(_column("id"), _column("name", _TEXT)), key=("id",), rows=9, partitioning=_RANGE)


@pytest.mark.parametrize(
    "described",
    [
        _DESCRIBED,
        replace(_DESCRIBED, rows=0, partitioning=Partitioning(scheme="key_range", segment_count=1)),
        replace(_DESCRIBED, key=("name", "id"), partitioning=_BUCKET),
        replace(_DESCRIBED, columns=(_column("ID"), _column("id"))),
        replace(
            _DESCRIBED, partitioning=Partitioning(scheme="key_range", segment_count=MAX_SEGMENTS, low=-(2**63), high=2**64 - 1)
        ),
    ],
)
def test_descriptions_of_real_tables_pass(described: Described) -> None:
    """Empty tables, composite keys, names that differ in case, and the limits of integers are accepted."""
    check_described(described, _ALL)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"columns": ()}, "without any column"),
        ({"columns": (_column("id"), _column("id"))}, "'id' 2 times"),
        ({"columns": (_column("id"), _column(""))}, "cannot be the name"),
        ({"columns": (_column("id"), _column("a\0b"))}, "cannot be the name"),
        ({"columns": (_column("id"), _column("x" * 256))}, "cannot be the name"),
        ({"key": ()}, "without any column of the key"),
        ({"key": ("id", "id")}, "'id' 2 times"),
        ({"key": ("price",)}, "'price', which is not among"),
        ({"rows": -1}, "-1 rows"),
        ({"rows": 2**63 + 1}, "rows"),
        ({"partitioning": Partitioning(scheme="row_hash", segment_count=3)}, "power of two"),
        ({"key": ("name",)}, "not a single integer"),
        ({"key": ("id", "name")}, "not a single integer"),
        ({"columns": (_column("id"), _column("a", LogicalType(kind=LogicalKind.DECIMAL, scale=99_999)))}, "digits"),
        ({"columns": (_column("id"), _column("a", LogicalType(kind=LogicalKind.TIMESTAMP, scale=-1)))}, "-1 digits"),
        ({"columns": (_column("id"), _column("a", LogicalType(kind=LogicalKind.INTEGER, bits=2**32 - 1)))}, "4294967295 bits"),
        ({"columns": (_column("id"), _column("a", LogicalType(kind=LogicalKind.TEXT, length=-1)))}, "-1 characters"),
        ({"columns": (_column("id"), _column("a", LogicalType(kind=LogicalKind.JSON, json_dialect="")))}, "dialect"),
    ],
)
def test_descriptions_of_no_table_are_refused(changes: dict[str, Any], reason: str) -> None:
    """Impossible names, keys, counts, types and segments are refused with the reason."""
    with pytest.raises(ProtocolError, match=reason):
        check_described(replace(_DESCRIBED, **changes), _ALL)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [(("name", "price"), "lacks columns that were asked for: 'price'"), (("id",), "not asked for: 'name'")],
)
def test_a_description_of_other_columns_is_refused(columns: tuple[str, ...], reason: str) -> None:
    """A description must have the requested columns and the key."""
    check_described(_DESCRIBED, RequestedSlice(name="orders", columns=("name",)))
    with pytest.raises(ProtocolError, match=reason):
        check_described(_DESCRIBED, RequestedSlice(name="orders", columns=columns))


@pytest.mark.parametrize("key_range", [(-6, None), (None, 11), (0, 5)], ids=str)
def test_a_description_of_other_keys_is_refused(key_range: tuple[int | None, int | None]) -> None:
    """A description of a key range must have segments within it."""
    check_described(_DESCRIBED, RequestedSlice(name="orders", key_range=(-7, 12)))
    with pytest.raises(ProtocolError, match="beyond what was asked for"):
        check_described(_DESCRIBED, RequestedSlice(name="orders", key_range=key_range))


def test_a_description_with_endless_names_is_refused_in_time() -> None:
    """A million columns are refused in linear time."""
    names = tuple(map(str, range(200_000)))
    described = replace(_DESCRIBED, columns=tuple(map(_column, names)), key=(*names, names[0]))
    with pytest.raises(ProtocolError, match="2 times"):
        check_described(described, _ALL)


@pytest.mark.parametrize(
    "partitioning",
    [
        Partitioning(scheme="key_range", segment_count=0),
        Partitioning(scheme="key_range", segment_count=-4),
        Partitioning(scheme="key_range", segment_count=MAX_SEGMENTS + 1),
        Partitioning(scheme="row_hash", segment_count=2 * MAX_SEGMENTS),
        Partitioning(scheme="row_hash", segment_count=6),
        Partitioning(scheme="key_range", segment_count=1, low=5, high=3),
        Partitioning(scheme="key_range", segment_count=1, low=-(2**63) - 1, high=3),
        Partitioning(scheme="key_range", segment_count=1, low=0, high=2**64),
    ],
)
def test_absurd_grids_are_refused(partitioning: Partitioning) -> None:
    """Too many segments, counts that are not powers of two, and impossible bounds are refused."""
    with pytest.raises(ProtocolError):
        check_partitioning(partitioning)


@pytest.mark.parametrize("segment_ranges", [[(1, 0)], [(-1, 0)], [(0, 4)], [(0, 1), (1, 2)], [(2, 3), (0, 1)]])
def test_runs_of_no_grid_are_refused(segment_ranges: list[tuple[int, int]]) -> None:
    """Ranges must ascend, not overlap, and fit the partitioning."""
    check_segment_ranges([(0, 0), (1, 3)], _RANGE)
    with pytest.raises(ProtocolError, match="out of order, or not of 4"):
        check_segment_ranges(segment_ranges, _RANGE)


def test_segments_go_on_where_they_were() -> None:
    """Messages continue each other; an empty one is a keep-alive."""
    last = check_segments(Segments(numbers=(0, 2), counts=(1, 9), sums=(0, 2**64 - 1)), _RANGE, after=-1)
    last = check_segments(Segments(numbers=(), counts=(), sums=()), _RANGE, after=last)
    assert check_segments(Segments(numbers=(3,), counts=(1,), sums=(7,)), _RANGE, after=last) == 3


@pytest.mark.parametrize(
    ("numbers", "counts", "sums"),
    [
        ((0, 1), (1,), (1, 1)),
        ((0,), (1,), ()),
        ((1, 1), (1, 1), (1, 1)),
        ((2, 1), (1, 1), (1, 1)),
        ((0,), (1,), (1,)),
        ((4,), (1,), (1,)),
        ((-1,), (1,), (1,)),
        ((1,), (0,), (0,)),
        ((1,), (-1,), (1,)),
        ((1,), (1,), (-1,)),
        ((1,), (1,), (2**64,)),
    ],
)
def test_digests_of_no_segment_are_refused(numbers: tuple[int, ...], counts: tuple[int, ...], sums: tuple[int, ...]) -> None:
    """Lists of different lengths, and impossible numbers, counts or sums are refused."""
    with pytest.raises(ProtocolError):
        check_segments(Segments(numbers=numbers, counts=counts, sums=sums), _RANGE, after=0)


def test_digests_fit_their_keys() -> None:
    """Keys, digests and rows must have equal counts."""
    check_row_digests(RowDigests(count=2, keys=b"1\n2\n", digests=bytes(12)))
    check_row_digests(RowDigests(count=0, keys=b"", digests=b""))
    for count, keys, size in (
        (2, b"1\n2\n", 11),
        (2, b"1\n2\n", 18),
        (1, b"1\n2\n", 6),
        (1, b"1\n2", 6),
        (-1, b"", 0),
        (0, b"1", 0),
    ):
        with pytest.raises(ProtocolError, match="come with"):
            check_row_digests(RowDigests(count=count, keys=keys, digests=bytes(size)))


def test_lines_fit_their_count() -> None:
    """Lines must fit the count, and fields the columns."""
    check_rows(Rows(count=2, data=b"1\ta\n2\t\\N\n"), 2)
    check_rows(Rows(count=1, data=b"\n"), 1)
    check_rows(Rows(count=0, data=b""), 5)
    check_rows(Rows(count=1, data=b"1\t2\t3\n"))
    for count, data, columns in ((2, b"1\n", None), (1, b"1\n2", None), (0, b"1", None), (1, b"1\t2\n", 3), (1, b"1\t2\n", 1)):
        with pytest.raises(ProtocolError):
            check_rows(Rows(count=count, data=data), columns)
