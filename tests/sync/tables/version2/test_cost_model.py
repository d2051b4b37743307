"""How rounds, bytes and scans grow with the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_sync.protocol.v2.messages import Scheme
from tests.sync.link import Link
from tests.sync.tables.version2.cost_model import ROW_BYTES, cost

SIZES = [10**power for power in range(3, 9)]
SCHEMES: tuple[Scheme, ...] = ("key_range", "key_hash", "row_hash")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rounds_do_not_grow_with_the_table(scheme: Scheme) -> None:
    """15 changes take five requests and little more than two scans, from a thousand rows to a hundred million."""
    for rows in SIZES:
        found = cost(rows, 15, scheme)
        assert found.requests <= 5
        assert found.scans <= 2.2


@pytest.mark.parametrize(
    ("rows", "most"), [(10**3, 12_000), (10**5, 40_000), (10**6, 150_000), (10**7, 300_000), (10**8, 3_000_000)]
)
def test_bytes_grow_more_slowly_than_the_table(rows: int, most: int) -> None:
    """15 changes in a million rows cost at most 150 KB; in a hundred million, 3 MB."""
    assert cost(rows, 15, "key_range").bytes <= most
    assert cost(rows, 15, "key_hash").bytes <= 1.5 * most
    assert cost(rows, 15, "row_hash").bytes <= 2 * most


def test_ten_thousand_changes_cost_less_than_the_table() -> None:
    """10,000 scattered changes among a million rows ask for most digests, which are still far from the rows themselves."""
    for scheme in SCHEMES:
        found = cost(10**6, 10_000, scheme)
        assert found.requests <= 7
        assert found.scans <= 4
        assert found.bytes < 10**6 * 60 / 5


def test_scans_are_bounded() -> None:
    """With any number of changed rows, the source digests a table at most six times."""
    assert (
        max(cost(rows, changes, scheme).scans for rows in SIZES for changes in (15, 10**3, 10**4, 10**5) for scheme in SCHEMES)
        <= 6
    )


@pytest.mark.parametrize(("kind", "key", "scheme"), [("INTEGER", "i", "key_range"), ("TEXT", "'key ' || i", "row_hash")])
def test_the_model_is_near_what_a_sync_costs(same: Link, kind: str, key: str, scheme: Scheme) -> None:
    """What the model says about 20,000 rows is within a factor of 1.5 of a real sync; the rows are the same each time."""
    same.protocol = "2"
    same.create(f"CREATE TABLE t (code {kind} PRIMARY KEY, a TEXT)")
    same.source.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        f" INSERT INTO t SELECT {key}, hex(i * 2654435761 % 4294967296) FROM n"
    )
    same.sync_one("t")
    same.source.execute("UPDATE t SET a = 'other' WHERE rowid % 1300 = 0")
    report = same.sync_one("t")
    expected = cost(20_000, 15, scheme)
    assert report.rows_updated == 15
    assert report.requests == expected.requests
    assert expected.bytes / 1.5 < report.bytes_received < expected.bytes * 1.5


def test_the_page_shows_what_the_model_says() -> None:
    """Every figure in the tables of "What version 2 costs" is the model's."""
    page = Path(__file__).parents[4] / "docs/explanation/how-it-works-version-2.md"
    tables = re.split(r"^([\d,]+) scattered updates.*$", page.read_text(), flags=re.MULTILINE)[1:]
    compared = 0
    for changes, text in zip(tables[::2], tables[1::2], strict=True):
        for line in re.findall(r"^\| [\d,]+ \|.*$", text, flags=re.MULTILINE):
            rows, *shown = (cell.strip() for cell in line.strip("|").split("|"))
            for place, scheme in enumerate(SCHEMES):
                found = cost(_number(rows), _number(changes), scheme)
                expected = [str(found.requests), _size(found.bytes, _number(rows)), f"{found.scans:.2f}"]
                assert shown[3 * place : 3 * place + 3] == expected, f"{changes} of {rows}, {scheme}"
                compared += 1
    assert compared == 30


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _size(size: int, rows: int) -> str:
    """Write a number of bytes as the page does."""
    if size >= rows * ROW_BYTES:
        return "the table"
    kilobytes = size / 1000
    if kilobytes < 999.5:
        return f"{kilobytes:.0f} KB"
    return f"{kilobytes / 1000:.1f} MB" if kilobytes < 9_950 else f"{kilobytes / 1000:.0f} MB"
