"""What version 2 answers about tables: digests of segments and rows, and rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event
from typing import Any

import msgspec
import pytest
import sqlalchemy

from airflow_provider_sync.exceptions import ServerError, TableError, TransportError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import (
    DIGEST_BYTES,
    Described,
    DescribeTable,
    DigestRows,
    GetRows,
    Grid,
    Message,
    RowDigests,
    Rows,
    Segments,
    Selection,
    Window,
)
from airflow_provider_sync.protocol.v2.row_text import digest_rows
from airflow_provider_sync.protocol.v2.stream import parse_media_type, read_messages
from airflow_provider_sync.protocol.v2.types import LogicalKind
from airflow_provider_sync.server.message_requests import MAX_BYTES_BESIDE_KEYS, MAX_KEYS, MAX_RUNS
from airflow_provider_sync.server.serve import RunningServer
from airflow_provider_sync.tables.engines.sqlite import SQLiteDatabase
from tests.server.test_tables import execute, served
from tests.server.wire import Answer, ask, config, open_stream, send

T = Selection(name="t")
ALL = Grid(scheme="bucket", parts=1)
LIMIT = 1 << 30

Key = tuple[str, ...]


def messages(answer: Answer) -> list[Message]:
    """Return the messages of a whole answer."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-encoding"] == "identity"
    return list(read_messages([answer.body], parse_media_type(answer.headers["content-type"]), limit=LIMIT))


def describe(url: str, selection: Selection = T, **asked: Any) -> tuple[Described, dict[int, tuple[int, int]]]:
    """Return the description of a table, and count and sum of its segments."""
    described, *rest = messages(ask(url, "/describeTable", DescribeTable(selection=selection, **asked)))
    assert isinstance(described, Described)
    segments: dict[int, tuple[int, int]] = {}
    for message in rest:
        assert isinstance(message, Segments)
        segments.update(zip(message.numbers, zip(message.counts, message.sums, strict=True), strict=True))
    return described, segments


def digests(url: str, grid: Grid = ALL, *, selection: Selection = T, **asked: Any) -> dict[Key, int]:
    """Return the digests of rows by key, as they come over the wire."""
    found: dict[Key, int] = {}
    request = DigestRows(selection=selection, grid=grid, **(asked or {"runs": ((0, grid.parts - 1),)}))
    for message in messages(ask(url, "/digestRows", request)):
        assert isinstance(message, RowDigests)
        keys = tsv.decode_keys(message.keys, message.keys.partition(b"\n")[0].count(b"\t") + 1) if message.keys else []
        cut = [message.digests[at : at + DIGEST_BYTES] for at in range(0, len(message.digests), DIGEST_BYTES)]
        assert message.count == len(keys) == len(cut)
        found.update(zip(keys, map(int.from_bytes, cut), strict=True))
    return found


def rows(url: str, columns: int, *, selection: Selection = T, keys: str | None = None) -> list[tuple[bytes | None, ...]]:
    """Return rows, sorted."""
    found: list[tuple[bytes | None, ...]] = []
    for message in messages(ask(url, "/getRows", GetRows(selection=selection, keys=keys))):
        assert isinstance(message, Rows)
        batch = tsv.decode_rows(message.data, columns)
        assert len(batch) == message.count
        found += batch
    return sorted(found, key=repr)


def refusal(answer: Answer) -> tuple[str, str]:
    """Return the field and the one message of a refusal."""
    assert (answer.status, answer.headers["content-type"]) == (422, "application/json"), answer.body[:200]
    [(field, [message])] = json.loads(answer.body).items()
    return field, message


@pytest.fixture
def url(database_url: str) -> str:
    """Have a table on every engine: an integer key among other columns."""
    execute(
        database_url,
        "CREATE TABLE t (b INT, id INT NOT NULL PRIMARY KEY, a VARCHAR(20) NOT NULL)",
        "INSERT INTO t (id, a, b) VALUES (-3, 'x', 30), (1, 'tab\t', NULL), (2, 'né', 20)",
    )
    return database_url


@pytest.fixture
def base(url: str) -> Iterator[str]:
    """Serve the table."""
    with served(url, t={"windows": ["b", "id"]}) as base:
        yield base


def test_description(base: str) -> None:
    """A description has the columns in the order of the table, the key, the number of rows and how they are cut."""
    described, segments = describe(base)
    assert [(column.name, column.type.kind, column.nullable) for column in described.columns] == [
        ("b", LogicalKind.INTEGER, True),
        ("id", LogicalKind.INTEGER, False),
        ("a", LogicalKind.TEXT, False),
    ]
    assert described.key == ("id",)
    # Some engines have no better estimate for a fresh table than its pages.
    assert 0 <= described.rows < 10_000
    assert (described.grid.scheme, described.grid.low, described.grid.high) == ("range", -3, 2)
    assert sum(count for count, _ in segments.values()) == 3


def test_digests_are_those_of_the_rows(base: str) -> None:
    """Segments, row digests and rows tell of the same rows, as the canonical row text has them."""
    described, segments = describe(base)
    content = rows(base, 3)
    assert content == sorted([(b"30", b"-3", b"x"), (None, b"1", b"tab\t"), (b"20", b"2", "né".encode())], key=repr)
    expected = digest_rows(content, [column.type.kind for column in described.columns])
    assert sum(count for count, _ in segments.values()) == 3
    assert sum(total for _, total in segments.values()) % 2**64 == sum(expected) % 2**64
    by_key = {(row[1].decode(),): digest >> 12 for row, digest in zip(content, expected, strict=True) if row[1] is not None}
    assert digests(base) == digests(base, described.grid) == digests(base, keys="2\n-3\n1\n7\n") == by_key


def test_description_alone(base: str) -> None:
    """Who wants only the description gets it without the digests."""
    [described] = messages(ask(base, "/describeTable", DescribeTable(selection=T, digests=False)))
    assert described == describe(base)[0]


def test_keys(base: str) -> None:
    """Rows are sent by key; what is not there is left out, and of no key there is no row."""
    assert rows(base, 3, keys="2\n5\n") == [(b"20", b"2", "né".encode())]
    assert rows(base, 3, keys="") == []
    assert digests(base, keys="") == {}
    assert digests(base, runs=()) == {}


def test_segments_of_ranges(url: str) -> None:
    """Integer keys are cut into stretches of equal width, and each is asked for by its number."""
    execute(url, "DELETE FROM t", *many_rows(1000))
    with served(url) as base:
        described, segments = describe(base)
        grid = described.grid
        assert (grid.scheme, grid.low, grid.high) == ("range", 0, 999)
        assert 4 <= grid.parts <= 512
        for number, (count, _) in segments.items():
            found = {int(key) for (key,) in digests(base, grid, runs=((number, number),))}
            assert found == set(range(number * grid.width, min(1000, (number + 1) * grid.width)))
            assert len(found) == count
        assert len(digests(base, grid, runs=((0, 1), (3, 3)))) == sum(segments[number][0] for number in (0, 1, 3))


def test_samples(url: str) -> None:
    """A sample has some of the segments, spread evenly, with the digests that they have among all; other keys have none."""
    execute(url, "DELETE FROM t", *many_rows(1000), "UPDATE t SET b = id")
    with served(url, t={}, by_text={"table": "t", "primary": "a"}, unindexed={"table": "t", "primary": "b"}) as base:
        grid = Grid(scheme="range", parts=20, low=0, high=999)
        described, segments = describe(base, grid=grid)
        sampled, some = describe(base, grid=grid, sample=5)
        assert (described.sample, sampled.sample) == (0, 5)
        assert some == {number: segments[number] for number in (2, 6, 10, 14, 18)}
        for name in ("by_text", "unindexed"):
            described, segments = describe(base, Selection(name=name), sample=5)
            assert described.sample == 0
            assert sum(count for count, _ in segments.values()) == 1000
        field, message = refusal(ask(base, "/describeTable", DescribeTable(selection=T, sample=257)))
    assert (field, message) == ("sample", "Expected `int` <= 256.")


def many_rows(count: int) -> list[str]:
    """Return statements that fill the table."""
    return [
        "INSERT INTO t (id, a, b) VALUES " + ", ".join(f"({n}, 'row {n}', {n % 7})" for n in range(start, start + 500))
        for start in range(0, count, 500)
    ]


def test_segments_of_digests(url: str) -> None:
    """Any other key is cut by the highest bits of the rows' digests."""
    execute(url, "DELETE FROM t", *many_rows(1000))
    with served(url, t={"primary": ["id", "a"]}, by_text={"table": "t", "primary": "a"}) as base:
        described, segments = describe(base)
        assert described.key == ("id", "a")
        assert describe(base, Selection(name="by_text"))[0].key == ("a",)
        grid = described.grid
        assert (grid.scheme, grid.low, grid.high) == ("bucket", 0, -1)
        assert sum(count for count, _ in segments.values()) == 1000
        for number in range(grid.parts):
            found = digests(base, grid, runs=((number, number),))
            assert {digest >> (grid.shift - 12) for digest in found.values()} == {number}
            assert len(found) == segments[number][0]
        assert len(rows(base, 3, keys="7\trow 7\n8\trow 7\n")) == 1


def test_range_never_finer_than_its_keys(url: str) -> None:
    """However many rows are thought to be there, no more segments are made than there are keys."""
    execute(url, "DELETE FROM t", "INSERT INTO t (id, a) VALUES (5, 'x')")
    with served(url) as base:
        described, segments = describe(base)
    assert described.grid == Grid(scheme="range", parts=1, low=5, high=5)
    assert [count for count, _ in segments.values()] == [1]


def test_empty_table(url: str) -> None:
    """A table without rows has a description and no segments."""
    execute(url, "DELETE FROM t")
    with served(url) as base:
        described, segments = describe(base)
        assert (described.grid.scheme, segments) == ("bucket", {})
        assert digests(base) == {}
        assert rows(base, 3) == []


def test_columns(url: str) -> None:
    """A request names columns; the key takes part in any case, and the order is the table's."""
    with served(url) as base:
        for asked, names in ((["a"], ["id", "a"]), (["a", "b"], ["b", "id", "a"]), ([], ["id"])):
            selection = Selection(name="t", columns=tuple(asked))
            described, segments = describe(base, selection)
            assert [column.name for column in described.columns] == names
            before = segments, digests(base, selection=selection), rows(base, len(names), selection=selection)
            execute(url, "UPDATE t SET b = COALESCE(b, 0) + 1")
            after = describe(base, selection)[1], digests(base, selection=selection), rows(base, len(names), selection=selection)
            assert (before == after) == ("b" not in names)
        field, message = refusal(ask(base, "/getRows", GetRows(selection=Selection(name="t", columns=("a", "nope")))))
    assert field == "selection.columns"
    assert "no column 'nope'" in message
    assert "b, id, a" in message


def test_configured_columns(url: str) -> None:
    """A column that the configuration leaves out does not exist for the client."""
    with served(url, t={"columns": ["id", "a"]}) as base:
        assert [column.name for column in describe(base)[0].columns] == ["id", "a"]
        hidden = ask(base, "/describeTable", DescribeTable(selection=Selection(name="t", columns=("b",))))
        assert refusal(hidden)[1].endswith("no column 'b'. Its columns are id, a.")


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_invisible_and_generated(request: pytest.FixtureRequest, engine: str) -> None:
    """A generated column is a value like any other; an invisible one comes only to those who name it, or as the key."""
    url = request.getfixturevalue(f"{engine}_url")
    execute(
        url,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY INVISIBLE,"
        " h INT INVISIBLE, g INT AS (h * 2) STORED, v INT AS (h + 1))",
        "INSERT INTO t (id, h) VALUES (1, 5)",
    )
    with served(url, t={}, named={"table": "t", "columns": ["id", "h"]}) as base:
        assert rows(base, 3) == [(b"1", b"10", b"6")]
        assert rows(base, 2, selection=Selection(name="t", columns=("h",))) == [(b"1", b"5")]
        assert rows(base, 2, selection=Selection(name="named")) == [(b"1", b"5")]


def test_types_that_cannot_be_carried(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that has no canonical text is named, with what to do about it; without it, the table is sent."""
    known = SQLiteDatabase.logical_type
    monkeypatch.setattr(SQLiteDatabase, "logical_type", lambda self, column: known(self, column) if column.name != "p" else None)
    execute(sqlite_url, "CREATE TABLE t (id INT PRIMARY KEY NOT NULL, p POINT)", "INSERT INTO t (id) VALUES (1)")
    with served(sqlite_url, t={"windows": ["p"]}, narrow={"table": "t", "columns": ["id"]}) as base:
        field, message = refusal(ask(base, "/describeTable", DescribeTable(selection=T)))
        assert field == "selection.columns"
        assert "column 'p' of type POINT" in message
        assert "Leave it out with `columns`" in message
        assert rows(base, 1, selection=Selection(name="narrow")) == [(b"1",)]
        assert rows(base, 1, selection=Selection(name="t", columns=("id",))) == [(b"1",)]
        by_it = Selection(name="t", columns=("id",), window=Window(column="p", start="1", end="2"))
        assert refusal(ask(base, "/getRows", GetRows(selection=by_it)))[0] == "selection.window"


def test_key_without_value(url: str) -> None:
    """Rows that have no key are refused before the body begins."""
    with served(url, t={"primary": "b"}) as base:
        _, message = refusal(ask(base, "/describeTable", DescribeTable(selection=T)))
        assert "without a value in 'b'" in message
        execute(url, "DELETE FROM t WHERE b IS NULL")
        assert describe(base)[0].key == ("b",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": "nope"}, "'nope'"),
        ({"table": "v"}, "view"),
        ({"columns": ["id", "nope"]}, "has no column 'nope', which `columns` names"),
        ({"primary": "nope"}, "has no column 'nope', which `primary` names"),
        ({"columns": ["a"]}, "without the column 'id' of its key"),
        ({"table": "keyless"}, "has no primary key. Name the columns that identify a row with `primary`"),
    ],
)
def test_configuration_that_does_not_fit(url: str, options: dict[str, Any], words: str) -> None:
    """What cannot be served as it is configured is refused before the body, saying what to do."""
    execute(url, "CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE keyless (a INT)")
    with served(url, t=options) as base:
        for path, request in (
            ("/describeTable", DescribeTable(selection=T)),
            ("/digestRows", DigestRows(selection=T, grid=ALL)),
            ("/getRows", GetRows(selection=T)),
        ):
            field, message = refusal(ask(base, path, request))
            assert field == "config_name"
            assert words in message


def test_hasher(url: str) -> None:
    """A hasher of the user's is for version 1, and does not keep version 2 from answering."""
    with served(url, t={"hasher": "tests.server.hashers.FailingHasher"}) as base:
        assert len(describe(base)[0].columns) == len(rows(base, 3)) == 3


def window(column: str, start: str, end: str) -> Selection:
    """Return the part of the table in a window, without the window's column."""
    return Selection(name="t", columns=("a",), window=Window(column=column, start=start, end=end))


def test_windows(base: str) -> None:
    """A window has the rows from its start up to its end, and none without a value; its column need not be sent."""
    for column, start, end, expected in (
        ("b", "20", "30", [b"2"]),
        ("b", "20", "31", [b"-3", b"2"]),
        ("b", "30", "20", []),
        ("id", "-3", "2", [b"-3", b"1"]),
    ):
        selection = window(column, start, end)
        assert [row[0] for row in rows(base, 2, selection=selection)] == expected
        described, segments = describe(base, selection)
        assert sum(count for count, _ in segments.values()) == len(expected)
        assert sorted(key.encode() for (key,) in digests(base, selection=selection)) == expected
        if expected:
            assert (described.grid.low, described.grid.high) == (int(min(expected, key=int)), int(max(expected, key=int)))
        assert [row[0] for row in rows(base, 2, selection=selection, keys="-3\n2\n")] == [key for key in expected if key != b"1"]


@pytest.mark.parametrize(
    ("column", "start", "end", "words"),
    [
        ("a", "x", "y", "Name it under `windows`"),
        ("nope", "1", "2", "Allowed are b, id."),
        ("b", "x", "2", "'x' is not a value of type integer"),
        ("b", "1", "2; DROP TABLE t", "is not a value of type integer"),
        ("b", "1", "", "'' is not a value"),
    ],
)
def test_refused_windows(base: str, column: str, start: str, end: str, words: str) -> None:
    """A window of another column than the configuration allows is refused, and so are ends that no value could have."""
    field, message = refusal(ask(base, "/getRows", GetRows(selection=window(column, start, end))))
    assert field == "selection.window"
    assert words in message


def test_ranges_of_keys(base: str) -> None:
    """A range has its lowest key and its highest, in every answer."""
    for between, expected in (
        ((-3, 1), [b"-3", b"1"]),
        ((2, None), [b"2"]),
        ((None, -4), []),
        ((None, None), [b"-3", b"1", b"2"]),
        ((2**63, 2**64 - 1), []),
        ((-(2**63), -(2**63)), []),
    ):
        selection = Selection(name="t", columns=("a",), between=between)
        assert sorted(row[0] or b"" for row in rows(base, 2, selection=selection)) == expected
        described, segments = describe(base, selection)
        assert sum(count for count, _ in segments.values()) == len(expected)
        assert sorted(key.encode() for (key,) in digests(base, selection=selection)) == expected
        if expected:
            assert (described.grid.low, described.grid.high) == (int(min(expected, key=int)), int(max(expected, key=int)))


@pytest.mark.parametrize(("between", "words"), [((2, 1), "no keys between 2 and 1"), ((None, 2**64), "no keys between")])
def test_refused_ranges_of_keys(base: str, between: tuple[int | None, int | None], words: str) -> None:
    """A range that no keys can be in is refused."""
    field, message = refusal(ask(base, "/getRows", GetRows(selection=Selection(name="t", between=between))))
    assert field == "selection.between"
    assert words in message


def test_windows_of_days(database_url: str) -> None:
    """What Airflow's templates write works as a window of dates and of times."""
    kind = "TIMESTAMP" if database_url.startswith("postgresql") else "DATETIME"
    execute(
        database_url,
        f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, d DATE, m {kind})",
        "INSERT INTO t VALUES (1, '2024-02-28', '2024-02-28 23:59:59'), (2, '2024-02-29', '2024-02-29 00:00:00'),"
        " (3, '2024-03-01', '2024-03-01 00:00:00'), (4, NULL, NULL)",
    )
    with served(database_url, t={"windows": ["d", "m"]}) as base:
        for column in ("d", "m"):
            for start, end in (("2024-02-29", "2024-03-01"), ("2024-02-28T23:59:59.5+00:00", "2024-03-01T01:00:00+01:00")):
                selection = Selection(name="t", columns=("id",), window=Window(column=column, start=start, end=end))
                assert rows(base, 1, selection=selection) == [(b"2",)]


GRID = b'"grid":{"scheme":"bucket","parts":4}'


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        ("/describeTable", b"", "body", "truncated"),
        ("/describeTable", b"config_name=t", "body", "malformed"),
        ("/describeTable", b"[]", "body", "Expected `object`"),
        ("/describeTable", b"{}", "body", "`selection`"),
        ("/describeTable", b'{"selection":{}}', "selection", "`name`"),
        ("/describeTable", b'{"selection":{"name":7}}', "selection.name", "Expected `str`"),
        ("/describeTable", b'{"selection":{"name":""}}', "config_name", "required"),
        ("/describeTable", b'{"selection":{"name":"t"},"x":1}', "body", "unknown field `x`"),
        ("/describeTable", b'{"selection":{"name":"t","x":1}}', "selection", "unknown field `x`"),
        ("/describeTable", b'{"selection":{"name":"t","columns":["a",1]}}', "selection.columns[1]", "Expected `str`"),
        ("/describeTable", b'{"selection":{"name":"\xff"}}', "body", "utf-8"),
        ("/describeTable", b'{"selection":{"name":"\\ud800"}}', "body", ""),
        ("/describeTable", b'{"selection":{"name":"t"},"digests":1}', "digests", "Expected `bool`"),
        ("/describeTable", b'{"selection":{"name":"t"},"x":' + b"[" * 10_000, "body", ""),
        ("/digestRows", b'{"selection":{"name":"t"}}', "body", "`grid`"),
        ("/digestRows", b'{"selection":{"name":"t"},"grid":{"scheme":"x","parts":1}}', "grid.scheme", "'x'"),
        ("/digestRows", b'{"selection":{"name":"t"},"grid":{"scheme":"bucket","parts":3}}', "grid", "power of two"),
        ("/digestRows", b'{"selection":{"name":"t"},"grid":{"scheme":"bucket","parts":0}}', "grid", "0 segments"),
        ("/digestRows", b'{"selection":{"name":"t"},"grid":{"scheme":"bucket","parts":1e9}}', "grid.parts", ""),
        ("/digestRows", b'{"selection":{"name":"t"},"grid":{"scheme":"range","parts":99999999}}', "grid", "99999999"),
        (
            "/digestRows",
            b'{"selection":{"name":"t"},"grid":{"scheme":"range","parts":1,"high":99999999999999999999}}',
            "grid",
            "99999999999999999999",
        ),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[[0]]}' % GRID, "runs[0]", "length 2"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[[0,4]]}' % GRID, "runs", "0 to 4"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[[-1,0]]}' % GRID, "runs", "-1 to 0"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[[2,1]]}' % GRID, "runs", "2 to 1"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[[2,3],[0,1]]}' % GRID, "runs", "0 to 1"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[[0,1],[1,2]]}' % GRID, "runs", "1 to 2"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[%b[0,0]]}' % (GRID, b"[0,0]," * MAX_RUNS), "runs", "65537"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"runs":[%b[0,0]]}' % (GRID, b"[0,0]," * 400_000), "body", "2097152"),
        ("/digestRows", b'{"selection":{"name":"t"},%b,"keys":"1\\t2\\n"}' % GRID, "keys", "1 fields"),
        ("/getRows", b'{"selection":{"name":"t"},"keys":["1"]}', "keys", "Expected `str"),
        ("/getRows", b'{"selection":{"name":"t"},"keys":"1"}', "keys", "line feed"),
        ("/getRows", b'{"selection":{"name":"t"},"keys":"\\\\N\\n"}', "keys", "NULL"),
        ("/getRows", b'{"selection":{"name":"t"},"keys":"\\\\x\\n"}', "keys", "escape"),
        ("/getRows", b'{"selection":{"name":"t"},"keys":"%b"}' % (b"1\\n" * (MAX_KEYS + 1)), "keys", "100001 keys"),
        ("/getRows", b'{"selection":{"name":"t"},"keys":"%b"}' % (b"\\t" * 1_000_000), "keys", "1 fields"),
        ("/getRows", b'{"selection":{"name":"t"}%b}' % (b" " * MAX_BYTES_BESIDE_KEYS), "body", "beside its keys"),
    ],
)  # fmt: skip
def test_refused_requests(refusing: str, path: str, body: bytes, field: str, words: str) -> None:
    """What is not a request is refused by the name of the field that is wrong."""
    name, message = refusal(ask(refusing, path, body))
    assert name == field
    assert words in message


@pytest.fixture
def refusing(sqlite_url: str) -> Iterator[str]:
    """Serve a table that nobody gets to see."""
    execute(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with served(sqlite_url) as base:
        yield base


def test_ranges_need_an_integer_key(url: str) -> None:
    """Ranges of a key that is not a single integer are refused."""
    grid = Grid(scheme="range", parts=1, low=0, high=9)
    with served(url, t={"primary": "a"}) as base:
        field, message = refusal(ask(base, "/digestRows", DigestRows(selection=T, grid=grid, runs=((0, 0),))))
    assert field == "grid"
    assert "no single integer key" in message


def test_most_keys(base: str) -> None:
    """As many keys as are allowed are looked up at once."""
    keys = "".join(f"{number}\n" for number in range(MAX_KEYS))
    assert len(digests(base, keys=keys)) == len(rows(base, 3, keys=keys)) == 2


@pytest.mark.parametrize("keys", ["x\n", "\n", "1.5\n", " 1\n", "99999999999999999999999\n", "a\0b\n", "1 OR 1=1\n", "'\n"])
def test_keys_that_no_row_can_have(base: str, keys: str) -> None:
    """A text that is not a key finds no row, or is refused; never another row, and never a fault of the server's."""
    for path, request in (
        ("/getRows", GetRows(selection=T, keys=keys)),
        ("/digestRows", DigestRows(selection=T, grid=ALL, keys=keys)),
    ):
        answer = ask(base, path, request)
        assert answer.status in (200, 422)
        if answer.status == 200:
            assert messages(answer) == []


@pytest.mark.parametrize("keys", ["x'; --\n", "\\\\\n", "X\n", "x \n", "é\n", "\U0001f600\n", "%s %(x)s :x ?\n"])
def test_keys_are_compared_by_bytes(url: str, keys: str) -> None:
    """A text that only looks like a key, to a collation or to a parser, finds no row."""
    with served(url, t={"primary": "a"}) as base:
        assert [row[2] for row in rows(base, 3, keys="x\n" + keys)] == [b"x"]
        assert list(digests(base, keys=keys + "x\n")) == [("x",)]


def test_keys_with_zero_bytes(url: str) -> None:
    """A zero byte, which not every database allows in text, is in no key, or refused; never a fault of the server's."""
    with served(url, t={"primary": "a"}) as base:
        answer = ask(base, "/getRows", GetRows(selection=T, keys="x\na\0b\n"))
        if answer.status == 200:
            assert [row[2] for row in rows(base, 3, keys="x\na\0b\n")] == [b"x"]
        else:
            assert refusal(answer)


@pytest.mark.parametrize(
    ("accept", "compression"),
    [
        ("application/vnd.airflow-sync.v2; compression=zstd, application/vnd.airflow-sync.v2; compression=gzip", "zstd"),
        ("application/vnd.airflow-sync.v2; compression=gzip", "gzip"),
        ("*/*", "gzip"),
        (None, "gzip"),
    ],
)
def test_compression(refusing: str, accept: str | None, compression: str) -> None:
    """A stream is compressed as its reader asks for, and says how; nothing on its way is to change it."""
    for path in ("/describeTable", "/getRows"):
        body = msgspec.json.encode(GetRows(selection=T) if path == "/getRows" else DescribeTable(selection=T))
        answer = send(refusing, "POST", path, body=body, headers={"Accept": accept} if accept else {})
        assert answer.headers["content-type"] == f"application/vnd.airflow-sync.v2; compression={compression}"
        assert answer.headers["content-encoding"] == "identity"
        assert messages(answer)[1:] in ([], [Segments(numbers=(), counts=(), sums=())])


def test_no_state(url: str) -> None:
    """What one server process began, any other can go on with."""
    with served(url) as one, served(url) as other:
        described, segments = describe(one)
        found = digests(other, described.grid, runs=tuple((number, number) for number in segments))
        assert len(found) == len(rows(one, 3, keys="".join(f"{key}\n" for (key,) in found))) == 3


def test_description_comes_first(refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has the description while the server still computes the digests."""
    received = Event()

    def wait_for_client(*_: object) -> dict[int, Any]:
        assert received.wait(60)
        return {}

    monkeypatch.setattr(SQLiteDatabase, "digest_segments", wait_for_client)
    with open_stream(refusing, "/describeTable", DescribeTable(selection=T), version="1.0") as stream:
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            answer += stream.recv(65536)
        received.set()
        while block := stream.recv(65536):
            answer += block
    first, *_ = read_messages([answer.partition(b"\r\n\r\n")[2]], "gzip", limit=LIMIT)
    assert isinstance(first, Described)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TableError("Table 't' has a row that is too long."), 422, "Table 't' has a row that is too long"),
        (TransportError("no route to db.internal"), 503, "The server cannot reach its database or storage"),
        (OSError("the disk of db.internal failed"), 500, "its log has the reason"),
    ],
    ids=["table", "database", "unexpected"],
)
def test_error_in_the_middle(
    refusing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, status: int, words: str
) -> None:
    """A failure behind the description ends the stream with its reason, as far as it is the client's to know."""

    def fail(*_: object) -> dict[int, Any]:
        raise error

    monkeypatch.setattr(SQLiteDatabase, "digest_segments", fail)
    answer = ask(refusing, "/describeTable", DescribeTable(selection=T))
    assert answer.status == 200
    with pytest.raises(ServerError, match=words) as told:
        list(read_messages([answer.body], parse_media_type(answer.headers["content-type"]), limit=LIMIT))
    assert told.value.status == status
    assert "internal" not in str(told.value)
    assert f"Table 't' broke off: {error}" in caplog.text


def test_windows_are_announced(url: str) -> None:
    """Clients learn which windows they may ask for."""
    with RunningServer(config(url, tables={"t": {"windows": ["b", "id"]}, "u": {}})) as server:
        assert json.loads(send(server.url, "GET", "/capabilities").body)["tables"] == {"t": ["b", "id"], "u": []}
        assert send(server.url, "HEAD", "/capabilities").body == b""


def test_sources_that_are_down() -> None:
    """A database that is down may be tried again."""
    settings = config("postgresql://someone:hunter2@127.0.0.1:1/shop", tables={"t": {}})
    with RunningServer(settings) as server:
        answer = ask(server.url, "/describeTable", DescribeTable(selection=T))
        assert answer.status == 503
        assert b"hunter2" not in answer.body
        assert send(server.url, "GET", "/capabilities").status == 200


def test_odd_column_names(database_url: str) -> None:
    """A column may be called anything."""
    engine = sqlalchemy.make_url(database_url).get_backend_name()
    quote = "`" if engine == "mysql" else '"'
    names = ["a%b", "a:b", "select", "né", "it's"]
    columns = ", ".join(f"{quote}{name}{quote} INT" for name in names).replace(":", "\\:")
    execute(database_url, f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, {columns})", "INSERT INTO t VALUES (1, 1, 2, 3, 4, 5)")
    with served(database_url, t={"windows": names}) as base:
        for name in names:
            selection = Selection(name="t", columns=(name,), window=Window(column=name, start="0", end="9"))
            assert [column.name for column in describe(base, selection)[0].columns] == ["id", name]
            assert rows(base, 2, selection=selection) == [(b"1", b"%d" % (names.index(name) + 1))]
            assert len(digests(base, selection=selection)) == 1
