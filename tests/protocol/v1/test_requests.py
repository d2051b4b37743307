"""Requests of version 1: what is taken, and how the rest is refused."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.protocol.v1.fields import parse_fields
from airflow_provider_sync.protocol.v1.requests import (
    InvalidRequest,
    file_fields,
    file_hashes_request,
    files_request,
    table_fields,
    table_hash_request,
    table_request,
)

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
LONG = "y" * 256
UNKNOWN = "Config name not in sync-server.tables"
TOO_LONG = "The {} field must not be greater than 255 characters."


def refusal(check: Callable[..., object], fields: Mapping[str, Any], *known: str) -> dict[str, list[str]]:
    """Return the errors with which ``check`` refuses ``fields``."""
    with pytest.raises(InvalidRequest) as caught:
        check(fields, set(known))
    return caught.value.errors


@pytest.mark.parametrize(
    "name",
    [" orders\n", "\u00a0orders\u3000", "\ufeff\u200borders\u200e", "\0\t\x0b\x0c\rorders\u2028\x85"],
)
def test_names_are_trimmed(name: str) -> None:
    """White space of any kind around a name is not part of it."""
    assert table_hash_request({"config_name": name}, {"orders"}) == "orders"
    assert file_hashes_request({"config_name": name}, {"orders"}) == "orders"


def test_known_names_are_not_trimmed() -> None:
    """White space around the name of a table that has it is part of it."""
    assert table_hash_request({"config_name": " orders"}, {"orders", " orders"}) == " orders"


@pytest.mark.parametrize("value", [None, "", "  ", [], {}])
def test_required(value: object) -> None:
    """A missing, empty or blank name is the only error."""
    expected = {"config_name": ["The config name field is required."]}
    assert refusal(table_hash_request, {"config_name": value}, "orders") == expected
    assert refusal(file_hashes_request, {"config_name": value}, "orders") == expected
    assert refusal(table_hash_request, {}, "orders") == expected


@pytest.mark.parametrize("value", [1, 1.5, True, False, ["orders"], {"a": "orders"}])
def test_not_a_string(value: object) -> None:
    """A name that is not text is refused as not text and as unknown."""
    expected = ["The config name field must be a string.", UNKNOWN]
    assert refusal(table_hash_request, {"config_name": value}, "orders", "1") == {"config_name": expected}


def test_long_names() -> None:
    """Tables have a limit of 255 characters, not bytes; directories have none."""
    assert refusal(table_hash_request, {"config_name": LONG}, LONG) == {"config_name": [TOO_LONG.format("config name")]}
    assert refusal(table_hash_request, {"config_name": LONG}) == {"config_name": [TOO_LONG.format("config name"), UNKNOWN]}
    assert refusal(table_hash_request, {"config_name": "é" * 255}) == {"config_name": [UNKNOWN]}
    assert file_hashes_request({"config_name": LONG}, {LONG}) == LONG


def test_case_counts() -> None:
    """Names are case-sensitive."""
    assert refusal(table_hash_request, {"config_name": "Orders"}, "orders") == {"config_name": [UNKNOWN]}


def test_hash() -> None:
    """A hash is optional, trimmed, and ignored if it is 0."""
    assert table_request({"config_name": "orders"}, {"orders"}) == ("orders", None)
    assert table_request({"config_name": "orders", "hash": " ab "}, {"orders"}) == ("orders", "ab")
    assert table_request({"config_name": "orders", "hash": "0"}, {"orders"}) == ("orders", None)
    assert table_request({"config_name": "orders", "hash": "--EMPTY--"}, {"orders"}) == ("orders", "--EMPTY--")


@pytest.mark.parametrize("value", [None, "", "\t", 0, 17, ["x"], {"0": "x"}, True])
def test_hash_not_a_string(value: object) -> None:
    """A hash must be a text that is not empty."""
    fields = {"config_name": "orders", "hash": value}
    assert refusal(table_request, fields, "orders") == {"hash": ["The hash field must be a string."]}


def test_both_fields_bad() -> None:
    """Every wrong field is named, in the order of the fields."""
    errors = refusal(table_request, {"hash": LONG, "config_name": LONG})
    assert list(errors.items()) == [
        ("config_name", [TOO_LONG.format("config name"), UNKNOWN]),
        ("hash", [TOO_LONG.format("hash")]),
    ]


def test_files() -> None:
    """Paths keep the order in which they were sent, with any keys, and their spaces."""
    fields = parse_fields(b"config_name=d&files[1]=b&files[0]=+a+&files[x]=sub/c&files[]=%C3%A9", FORM)
    assert files_request(fields, {"d"}) == ("d", ["b", " a ", "sub/c", "é"])


@pytest.mark.parametrize(
    ("files", "errors"),
    [
        (None, {"files": ["The files field is required."]}),
        ("", {"files": ["The files field is required."]}),
        ("  ", {"files": ["The files field is required."]}),
        ([], {"files": ["The files field is required."]}),
        ("a", {"files": ["The files field must be an array."]}),
        (7, {"files": ["The files field must be an array."]}),
        ([""], {"files.0": ["The files.0 field is required."]}),
        (["a", None], {"files.1": ["The files.1 field is required."]}),
        ([10], {"files.0": ["The files.0 field must be a string."]}),
        ({"x": {"a": "b"}}, {"files.x": ["The files.x field must be a string."]}),
        ([[]], {"files.0": ["The files.0 field is required."]}),
    ],
)
def test_bad_files(files: object, errors: dict[str, list[str]]) -> None:
    """Files must be a list of texts that are not empty; every other entry is named."""
    assert refusal(files_request, {"config_name": "d", "files": files}, "d") == errors


def test_files_of_unknown_directory() -> None:
    """The name is checked before the files."""
    assert list(refusal(files_request, {"config_name": "t"}, "d").items()) == [
        ("config_name", ["Config name not in sync-server.directories"]),
        ("files", ["The files field is required."]),
    ]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a", {"a": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=x+y%2Bz%20", {"a": "x y+z "}),
        (b"a=%zz%4", {"a": "%zz%4"}),
        (b"+a.b+c=1", {"a_b_c": "1"}),
        (b"f[0]=a&f[1]=b", {"f": {"0": "a", "1": "b"}}),
        (b"f%5B%5D=a&f%5B%5D=b", {"f": {"0": "a", "1": "b"}}),
        (b"f[x][]=a&f[x][]=b&f[y]=c", {"f": {"x": {"0": "a", "1": "b"}, "y": "c"}}),
        (b"f=a&f[]=b", {"f": {"0": "b"}}),
        (b"f[]=b&f=a", {"f": "a"}),
        (b"f[0]=a&f[0][b]=c", {"f": {"0": {"b": "c"}}}),
        (b"f[0]x=a", {"f": {"0": "a"}}),
        (b"f[0=a", {"f_0": "a"}),
        (b"f[5]=a&f[]=b", {"f": {"5": "a", "1": "b"}}),
        (b"=a&[]=b", {}),
        (b"a%00b=c", {"a": "c"}),
        (b"a=%ff", {"a": "\udcff"}),
        (b"f[%ff]=a", {"f": {"\ufffd": "a"}}),
        (b"f" + b"[a]" * 100 + b"=x", {}),
    ],
)
def test_forms(body: bytes, fields: dict[str, Any]) -> None:
    """Forms are read as PHP reads them."""
    assert parse_fields(body, f"{FORM}; charset=utf-8") == fields


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"config_name": "a", "files": ["x", 1]}', {"config_name": "a", "files": ["x", 1]}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[1]", {}),
        (b'"a"', {}),
        (b"", {}),
        (b'{"a": ', {}),
        (b'{"a": "\xff"}', {}),
        (b'{"a": "\\ud800"}', {}),
        (b"[" * 100_000, {}),
    ],
)
def test_json(body: bytes, fields: dict[str, Any]) -> None:
    """The keys of a JSON object are the fields; other JSON has none."""
    assert parse_fields(body, JSON) == fields
    assert parse_fields(body, "application/vnd.api+json; charset=utf-8") == fields


def test_multipart() -> None:
    """A multipart form has the same fields as a plain one; uploaded files are not fields."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="config_name"\r\n\r\na\r\nb\r\n'
        b'--b\r\nContent-Disposition: form-data; name="files[]"\r\nContent-Type: text/plain\r\n\r\nx\r\n'
        b'--b\r\nContent-Disposition: form-data; name="files[]"\r\n\r\ny\r\n'
        b'--b\r\nContent-Disposition: form-data; name="upload"; filename="u"\r\n\r\nz\r\n--b--\r\n'
    )
    assert parse_fields(body, "multipart/form-data; boundary=b") == {"config_name": "a\r\nb", "files": {"0": "x", "1": "y"}}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--x\r\nnonsense", "multipart/form-data; boundary=b"),
        (b"--b\r\nno header\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\na: b\r\n\r\nx\r\n--b\x00", "multipart/form-data; boundary=b"),
        (b"a=1", "multipart/form-data"),
        (b"a=1", "text/plain"),
        (b"a=1", ""),
    ],
)
def test_unreadable_bodies(body: bytes, content_type: str, caplog: pytest.LogCaptureFixture) -> None:
    """A body that cannot be read, or has an unknown type, has no fields, and logs nothing."""
    with caplog.at_level(logging.DEBUG):
        assert parse_fields(body, content_type) == {}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"&".join([b"files[]=a"] * 10_001), FORM), (b'{"files": [' + b'"a",' * 10_000 + b'"a"]}', JSON)],
)
def test_too_many_fields(body: bytes, content_type: str) -> None:
    """More fields than the limit are refused, never dropped."""
    with pytest.raises(InvalidRequest, match="more than 10000 fields"):
        parse_fields(body, content_type)
    fewer = parse_fields(body.replace(b"files[]=a&", b"", 1).replace(b'"a",', b"", 1), content_type)
    assert len(fewer["files"]) == 10_000


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_client_and_server_agree(name: str, paths: list[str]) -> None:
    """The server reads exactly what the client writes, for any characters."""
    name = f"<{name}>"
    body = urlencode(file_fields(name, paths)).encode()
    assert files_request(parse_fields(body, FORM), {name}) == (name, paths)
    body = urlencode(table_fields(name, hash="ab")).encode()
    assert table_request(parse_fields(body, FORM), {name}) == (name, "ab")
    assert table_hash_request(parse_fields(urlencode(table_fields(name)).encode(), FORM), {name}) == name


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b"config_name=x" + b"+" * 2_000_000 + b"x"),
        (FORM, b"config_name=" + b"%41" * 700_000),
        (FORM, b"config_name=" + b"%41a" * 50_000),
        (FORM, b"files" + b"[]" * 1_000_000 + b"=x"),
        (FORM, b"&".join(b"a%d%s=x" % (number, b"[]" * 60) for number in range(5_000))),
        (FORM, b"&".join(b"f[%d]=x" % number for number in range(4_000, 8_000)) + b"&f[]=x" * 4_000),
        (JSON, b'{"config_name":' + b"[" * 1_000_000),
        (JSON, b'{"config_name":"' + b" " * 2_000_000 + b'x"}'),
        (JSON, b'{"files":[' + b"[[]]," * 400_000 + b"0]}"),
        (JSON, b'{"files":{' + b",".join(b'"%d":{}' % number for number in range(200_000)) + b"}}"),
        (JSON, b'{"config_name":' + b"9" * 2_000_000 + b"}"),
    ],
    ids=range(11),
)
@pytest.mark.timeout(20)
def test_hostile_requests_take_neither_time_nor_memory(kind: str, body: bytes) -> None:
    """A body of megabytes that is slow or expands to many values is read or refused quickly."""
    tracemalloc.start()
    try:
        for read in (table_request, files_request):
            with pytest.raises(InvalidRequest):
                read(parse_fields(body, kind), {"t"})
        assert tracemalloc.get_traced_memory()[1] < 10 * len(body) + 20_000_000
    finally:
        tracemalloc.stop()
