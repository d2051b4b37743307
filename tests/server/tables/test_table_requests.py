"""Requests of version 2: what is none is refused, and a key finds its own row or nothing."""

from __future__ import annotations

import msgspec
import pytest

from airflow_provider_sync.protocol.v1.requests import InvalidRequest
from airflow_provider_sync.protocol.v2.messages import MAX_KEYS, DigestRows, GetRows, Partitioning
from airflow_provider_sync.server.tables.table_requests import MAX_BYTES_BESIDE_KEYS, MAX_SEGMENT_RANGES, decode_table_request
from tests.server.tables.served_tables import served
from tests.server.tables.version2_answers import ALL, T, digests, messages, refusal, rows
from tests.server.wire import ask

PARTITIONING = b'"partitioning":{"scheme":"row_hash","segment_count":4}'


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        ("/describeTable", b"", "body", "truncated"),
        ("/describeTable", b"config_name=t", "body", "malformed"),
        ("/describeTable", b"[]", "body", "Expected `object`"),
        ("/describeTable", b"{}", "body", "`table_slice`"),
        ("/describeTable", b'{"table_slice":{}}', "table_slice", "`name`"),
        ("/describeTable", b'{"table_slice":{"name":7}}', "table_slice.name", "Expected `str`"),
        ("/describeTable", b'{"table_slice":{"name":""}}', "config_name", "required"),
        ("/describeTable", b'{"table_slice":{"name":"t"},"x":1}', "body", "unknown field `x`"),
        ("/describeTable", b'{"table_slice":{"name":"t","x":1}}', "table_slice", "unknown field `x`"),
        ("/describeTable", b'{"table_slice":{"name":"t","columns":["a",1]}}', "table_slice.columns[1]", "Expected `str`"),
        ("/describeTable", b'{"table_slice":{"name":"\xff"}}', "body", "utf-8"),
        ("/describeTable", b'{"table_slice":{"name":"\\ud800"}}', "body", ""),
        ("/describeTable", b'{"table_slice":{"name":"t"},"digests":1}', "digests", "Expected `bool`"),
        ("/describeTable", b'{"table_slice":{"name":"t"},"x":' + b"[" * 10_000, "body", ""),
        ("/digestRows", b'{"table_slice":{"name":"t"}}', "body", "`partitioning`"),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"x","segment_count":1}}',
            "partitioning.scheme",
            "'x'",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"key_range","segment_count":1,"low":0,"hkgh":9}}',
            "partitioning",
            "unknown field `hkgh`",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"row_hash","segment_count":3}}',
            "partitioning",
            "power of two",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"row_hash","segment_count":0}}',
            "partitioning",
            "0 segments",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"row_hash","segment_count":1e9}}',
            "partitioning.segment_count",
            "",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"key_range","segment_count":99999999}}',
            "partitioning",
            "99999999",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"key_range","segment_count":1,"high":99999999999999999999}}',
            "partitioning",
            "99999999999999999999",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},%b,"segment_ranges":[[0]]}' % PARTITIONING,
            "segment_ranges[0]",
            "length 2",
        ),
        ("/digestRows", b'{"table_slice":{"name":"t"},%b,"segment_ranges":[[0,4]]}' % PARTITIONING, "segment_ranges", "0 to 4"),
        ("/digestRows", b'{"table_slice":{"name":"t"},%b,"segment_ranges":[[-1,0]]}' % PARTITIONING, "segment_ranges", "-1 to 0"),
        ("/digestRows", b'{"table_slice":{"name":"t"},%b,"segment_ranges":[[2,1]]}' % PARTITIONING, "segment_ranges", "2 to 1"),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},%b,"segment_ranges":[[2,3],[0,1]]}' % PARTITIONING,
            "segment_ranges",
            "0 to 1",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},%b,"segment_ranges":[[0,1],[1,2]]}' % PARTITIONING,
            "segment_ranges",
            "1 to 2",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},%b,"segment_ranges":[%b[0,0]]}' % (PARTITIONING, b"[0,0]," * MAX_SEGMENT_RANGES),
            "segment_ranges",
            "65537",
        ),
        (
            "/digestRows",
            b'{"table_slice":{"name":"t"},%b,"segment_ranges":[%b[0,0]]}' % (PARTITIONING, b"[0,0]," * 400_000),
            "body",
            "2097152",
        ),
        ("/digestRows", b'{"table_slice":{"name":"t"},%b,"keys":"1\\t2\\n"}' % PARTITIONING, "keys", "1 fields"),
        ("/getRows", b'{"table_slice":{"name":"t"},"keys":["1"]}', "keys", "Expected `str"),
        ("/getRows", b'{"table_slice":{"name":"t"},"keys":"1"}', "keys", "line feed"),
        ("/getRows", b'{"table_slice":{"name":"t"},"keys":"\\\\N\\n"}', "keys", "NULL"),
        ("/getRows", b'{"table_slice":{"name":"t"},"keys":"\\\\x\\n"}', "keys", "escape"),
        ("/getRows", b'{"table_slice":{"name":"t"},"keys":"%b"}' % (b"1\\n" * (MAX_KEYS + 1)), "keys", "100001 keys"),
        ("/getRows", b'{"table_slice":{"name":"t"},"keys":"%b"}' % (b"\\t" * 1_000_000), "keys", "1 fields"),
        ("/getRows", b'{"table_slice":{"name":"t"}%b}' % (b" " * MAX_BYTES_BESIDE_KEYS), "body", "beside its keys"),
    ],
    # Some bodies have megabytes.
    ids=lambda value: value[:60].decode(errors="replace") if isinstance(value, bytes) else None,
)  # fmt: skip
def test_refused_requests(refusing: str, path: str, body: bytes, field: str, words: str) -> None:
    """A wrong request is refused with the name of the wrong field."""
    name, message = refusal(ask(refusing, path, body))
    assert name == field
    assert words in message


def test_ranges_need_an_integer_key(url: str) -> None:
    """Ranges of a key that is not a single integer are refused."""
    partitioning = Partitioning(scheme="key_range", segment_count=1, low=0, high=9)
    with served(url, t={"primary": "a"}) as base:
        field, message = refusal(
            ask(base, "/digestRows", DigestRows(table_slice=T, partitioning=partitioning, segment_ranges=((0, 0),)))
        )
    assert field == "partitioning"
    assert "no single integer key" in message


def test_most_keys(base: str) -> None:
    """The maximum number of keys can be looked up in one request."""
    keys = "".join(f"{number}\n" for number in range(MAX_KEYS))
    assert len(digests(base, keys=keys)) == len(rows(base, 3, keys=keys)) == 2


@pytest.mark.parametrize("keys", ["x\n", "\n", "1.5\n", " 1\n", "99999999999999999999999\n", "a\0b\n", "1 OR 1=1\n", "'\n"])
def test_keys_that_no_row_can_have(base: str, keys: str) -> None:
    """A text that is not a key finds no row or is refused; it never finds another row or causes a 500."""
    for path, request in (
        ("/getRows", GetRows(table_slice=T, keys=keys)),
        ("/digestRows", DigestRows(table_slice=T, partitioning=ALL, keys=keys)),
    ):
        answer = ask(base, path, request)
        assert answer.status in (200, 422)
        if answer.status == 200:
            assert messages(answer) == []


@pytest.mark.parametrize("keys", ["x'; --\n", "\\\\\n", "X\n", "x \n", "é\n", "\U0001f600\n", "%s %(x)s :x ?\n"])
def test_keys_are_compared_by_bytes(url: str, keys: str) -> None:
    """A text that equals a key only by collation or parsing finds no row."""
    with served(url, t={"primary": "a"}) as base:
        assert [row[2] for row in rows(base, 3, keys="x\n" + keys)] == [b"x"]
        assert list(digests(base, keys=keys + "x\n")) == [("x",)]


def test_keys_with_zero_bytes(url: str) -> None:
    """A zero byte, which some databases do not allow in text, finds no row or is refused, without a 500."""
    with served(url, t={"primary": "a"}) as base:
        answer = ask(base, "/getRows", GetRows(table_slice=T, keys="x\na\0b\n"))
        if answer.status == 200:
            assert [row[2] for row in rows(base, 3, keys="x\na\0b\n")] == [b"x"]
        else:
            assert refusal(answer)


@pytest.mark.parametrize("name", [" t", "t ", "\u200bt\n"])
def test_blanks_around_a_name_are_trimmed(refusing: str, name: str) -> None:
    """White space and invisible characters around a name are trimmed, as in version 1."""
    body = msgspec.json.encode({"table_slice": {"name": name}})
    for path in ("/describeTable", "/getRows"):
        assert ask(refusing, path, body).status == 200


@pytest.mark.timeout(20)
def test_an_unknown_field_of_a_megabyte_is_refused_in_a_few_words() -> None:
    """An unknown field with a huge name is refused quickly, with a short message."""
    body = b'{"table_slice":{"name":"t"},"%b":1}' % (b" - at `$" * 200_000)
    with pytest.raises(InvalidRequest) as caught:
        decode_table_request(body, GetRows, {"t"})
    assert len(str(caught.value)) < 1000
