"""Values that a database calls equal though they differ, so that its UPDATE may leave the old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sync.link import linked

VALUES = {
    "INTERVAL": ("INTERVAL '1 month'", "INTERVAL '30 days'", "INTERVAL '1 day'"),
    "STRUCT(a INTERVAL)": ("{'a': INTERVAL '1 month'}", "{'a': INTERVAL '30 days'}", "NULL"),
    "STRUCT(a DOUBLE, b VARCHAR)": ("{'a': CAST('-0.0' AS DOUBLE), 'b': NULL}", "{'a': 0.0, 'b': NULL}", "{'a': 1.5, 'b': 'x'}"),
    "INTERVAL[2]": ("[INTERVAL '24 hours', NULL]", "[INTERVAL '1 day', NULL]", "[NULL, NULL]"),
}


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("sql_type", VALUES)
def test_equal_values_that_differ(tmp_path: Path, sql_type: str, protocol: str) -> None:
    """Values that only the database takes for equal arrive as at the source; columns that are not synced stay."""
    new, old, other = VALUES[sql_type]
    with linked(f"duckdb:///{tmp_path / 'source.db'}", f"duckdb:///{tmp_path / 'target.db'}") as link:
        link.protocol = protocol
        link.source.execute(
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, v {sql_type})",
            f"INSERT INTO t VALUES (1, 1, {new}), (2, 20, {new}), (3, 30, {other}), (4, 4, {other})",
        )
        link.target.execute(
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, v {sql_type}, own INTEGER)",
            f"INSERT INTO t VALUES (1, 1, {old}, 1), (2, 2, {old}, 2), (3, 3, {old}, 3), (4, 4, {other}, 4)",
        )

        report = link.sync_one("t")

        assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (0, 3, 0)
        arrived = link.target.rows("t")
        assert [row[:3] for row in arrived] == link.source.rows("t")
        assert [row[3] for row in arrived] == [1, 2, 3, 4]
        assert link.sync_one("t").status == "unchanged"
        link.assert_clean()
