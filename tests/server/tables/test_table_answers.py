"""What version 2 answers about a table: its description, digests of its segments and rows, and rows by key."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.messages import DescribeTable, Partitioning, RequestedSlice
from airflow_provider_sync.protocol.v2.row_text import digest_rows
from airflow_provider_sync.protocol.v2.types import LogicalKind
from tests.server.tables.served_tables import execute, served
from tests.server.tables.version2_answers import T, describe, digests, messages, refusal, rows
from tests.server.wire import ask


def many_rows(count: int) -> list[str]:
    """Return statements that fill the table."""
    return [
        "INSERT INTO t (id, a, b) VALUES " + ", ".join(f"({n}, 'row {n}', {n % 7})" for n in range(start, start + 500))
        for start in range(0, count, 500)
    ]


def test_description(base: str) -> None:
    """A description has the columns in the table's order, the key, the number of rows and the partitioning."""
    described, segments = describe(base)
    assert [(column.name, column.type.kind, column.nullable) for column in described.columns] == [
        ("b", LogicalKind.INTEGER, True),
        ("id", LogicalKind.INTEGER, False),
        ("a", LogicalKind.TEXT, False),
    ]
    assert described.key == ("id",)
    # Some engines have no better estimate for a fresh table than its pages.
    assert 0 <= described.rows < 10_000
    assert (described.partitioning.scheme, described.partitioning.low, described.partitioning.high) == ("key_range", -3, 2)
    assert sum(count for count, _ in segments.values()) == 3


def test_digests_are_those_of_the_rows(base: str) -> None:
    """Segments, row digests and rows agree with the canonical row text."""
    described, segments = describe(base)
    content = rows(base, 3)
    assert content == sorted([(b"30", b"-3", b"x"), (None, b"1", b"tab\t"), (b"20", b"2", "né".encode())], key=repr)
    expected = digest_rows(content, [column.type.kind for column in described.columns])
    assert sum(count for count, _ in segments.values()) == 3
    assert sum(total for _, total in segments.values()) % 2**64 == sum(expected) % 2**64
    by_key = {(row[1].decode(),): digest >> 12 for row, digest in zip(content, expected, strict=True) if row[1] is not None}
    assert digests(base) == digests(base, described.partitioning) == digests(base, keys="2\n-3\n1\n7\n") == by_key


def test_description_alone(base: str) -> None:
    """A request may ask for the description without digests."""
    [described] = messages(ask(base, "/describeTable", DescribeTable(table_slice=T, digests=False)))
    assert described == describe(base)[0]


def test_keys(base: str) -> None:
    """Rows are sent by key; missing keys are left out."""
    assert rows(base, 3, keys="2\n5\n") == [(b"20", b"2", "né".encode())]
    assert rows(base, 3, keys="") == []
    assert digests(base, keys="") == {}
    assert digests(base, segment_ranges=()) == {}


def test_segments_of_ranges(url: str) -> None:
    """Integer keys are cut into ranges of equal width, and each is requested by its number."""
    execute(url, "DELETE FROM t", *many_rows(1000))
    with served(url) as base:
        described, segments = describe(base)
        partitioning = described.partitioning
        assert (partitioning.scheme, partitioning.low, partitioning.high) == ("key_range", 0, 999)
        assert 4 <= partitioning.segment_count <= 512
        for number, (count, _) in segments.items():
            found = {int(key) for (key,) in digests(base, partitioning, segment_ranges=((number, number),))}
            assert found == set(range(number * partitioning.width, min(1000, (number + 1) * partitioning.width)))
            assert len(found) == count
        assert len(digests(base, partitioning, segment_ranges=((0, 1), (3, 3)))) == sum(
            segments[number][0] for number in (0, 1, 3)
        )


def test_samples(url: str) -> None:
    """A sample has some segments, spread evenly, with the digests that they have among all; other keys have no sample."""
    execute(url, "DELETE FROM t", *many_rows(1000), "UPDATE t SET b = id")
    with served(url, t={}, by_text={"table": "t", "primary": "a"}, unindexed={"table": "t", "primary": "b"}) as base:
        partitioning = Partitioning(scheme="key_range", segment_count=20, low=0, high=999)
        described, segments = describe(base, partitioning=partitioning)
        sampled, some = describe(base, partitioning=partitioning, sample=5)
        assert (described.sample, sampled.sample) == (0, 5)
        assert some == {number: segments[number] for number in (2, 6, 10, 14, 18)}
        for name in ("by_text", "unindexed"):
            described, segments = describe(base, RequestedSlice(name=name), sample=5)
            assert described.sample == 0
            assert sum(count for count, _ in segments.values()) == 1000
        field, message = refusal(ask(base, "/describeTable", DescribeTable(table_slice=T, sample=257)))
    assert (field, message) == ("sample", "Expected `int` <= 256.")


def test_segments_of_digests(url: str) -> None:
    """Any other key is cut by the highest bits of the rows' digests."""
    execute(url, "DELETE FROM t", *many_rows(1000))
    with served(url, t={"primary": ["id", "a"]}, by_text={"table": "t", "primary": "a"}) as base:
        described, segments = describe(base)
        assert described.key == ("id", "a")
        assert describe(base, RequestedSlice(name="by_text"))[0].key == ("a",)
        partitioning = described.partitioning
        assert (partitioning.scheme, partitioning.low, partitioning.high) == ("row_hash", 0, -1)
        assert sum(count for count, _ in segments.values()) == 1000
        for number in range(partitioning.segment_count):
            found = digests(base, partitioning, segment_ranges=((number, number),))
            assert {digest >> (partitioning.shift - 12) for digest in found.values()} == {number}
            assert len(found) == segments[number][0]
        assert len(rows(base, 3, keys="7\trow 7\n8\trow 7\n")) == 1


def test_range_never_finer_than_its_keys(url: str) -> None:
    """There are at most as many segments as keys, whatever the estimated number of rows is."""
    execute(url, "DELETE FROM t", "INSERT INTO t (id, a) VALUES (5, 'x')")
    with served(url) as base:
        described, segments = describe(base)
    assert described.partitioning == Partitioning(scheme="key_range", segment_count=1, low=5, high=5)
    assert [count for count, _ in segments.values()] == [1]


def test_empty_table(url: str) -> None:
    """A table without rows has a description and no segments."""
    execute(url, "DELETE FROM t")
    with served(url) as base:
        described, segments = describe(base)
        assert (described.partitioning.scheme, segments) == ("row_hash", {})
        assert digests(base) == {}
        assert rows(base, 3) == []


def test_hasher(url: str) -> None:
    """A user's hasher is for version 1, and does not affect version 2."""
    with served(url, t={"hasher": "tests.server.tables.hashers.FailingHasher"}) as base:
        assert len(describe(base)[0].columns) == len(rows(base, 3)) == 3
