"""Tables of any size are served in the same memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_sync.protocol.v2.messages import DescribeTable, DigestRows, Partitioning
from tests.server.test_streaming import ALL_ROWS, inflate
from tests.server.wire import ask, post, run_sqlite

SERVE = """
import sys
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.serving import serve
serve(ServerConfig.from_dict({"connections": {"main": sys.argv[1]}, "tables": {"t": {}}}), port=0)
# Not getrusage: its peak is inherited from the process that started this one.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Have a database file."""
    return tmp_path / "source.db"


def peak_memory(source: Path, rows: int, *, version: int = 1) -> int:
    """Serve a table of so many rows in a process of its own and return the most memory that it took, in KiB."""
    run_sqlite(
        source,
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL);"
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        " INSERT INTO t SELECT i, 'a name of some length ' || i, i / 7.0 FROM n;",
    )
    command = [sys.executable, "-c", SERVE, f"sqlite:///{source}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            if version == 1:
                answer = post(url, "/getTable", {"config_name": "t", "hash": "x"})
                assert inflate(answer.body)[1]
            else:
                every = DigestRows(
                    table_slice=ALL_ROWS.table_slice,
                    partitioning=Partitioning(scheme="row_hash", segment_count=1),
                    segment_ranges=((0, 0),),
                )
                assert ask(url, "/describeTable", DescribeTable(table_slice=ALL_ROWS.table_slice)).status == 200
                assert ask(url, "/digestRows", every).status == 200
                assert ask(url, "/getRows", ALL_ROWS).status == 200
        finally:
            process.terminate()
        return int(process.stdout.read().split()[-1])


@pytest.mark.slow
def test_flat_memory(source: Path) -> None:
    """Ten times the rows take the same memory, under 200 MB."""
    small, large = peak_memory(source, 100_000), peak_memory(source, 1_000_000)
    assert large < small * 1.1
    assert large < 200 * 1024


@pytest.mark.slow
def test_flat_memory_in_version_2(source: Path) -> None:
    """Ten times the rows take the same memory for digests and rows, except for more segments."""
    small, large = peak_memory(source, 100_000, version=2), peak_memory(source, 1_000_000, version=2)
    assert large < small * 1.1
    assert large < 200 * 1024
