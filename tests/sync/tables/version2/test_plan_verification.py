"""What of a target is digested after a merge."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.messages import Scheme
from airflow_provider_sync.sync.tables.version2.plan_verification import Verification, plan_verification


@pytest.mark.parametrize(
    ("scheme", "is_listed", "touched", "expected"),
    [
        ("key_range", True, 50, Verification.TOUCHED),
        ("key_range", False, 50, Verification.TOUCHED),
        ("key_range", True, 51, Verification.TABLE),
        ("row_hash", True, 100, Verification.KEYS),
        ("row_hash", False, 1, Verification.TABLE),
        ("key_hash", True, 1, Verification.KEYS),
    ],
)
def test_verification_reads_what_was_touched(scheme: Scheme, is_listed: bool, touched: int, expected: Verification) -> None:
    """Ranges are looked up if they have at most half of the rows; hashes need the keys, or a scan."""
    assert plan_verification(scheme, is_listed=is_listed, touched_rows=touched, source_rows=100) is expected


def test_rows_that_stay_are_not_read() -> None:
    """If segments have kept rows, the written rows are looked up, if their keys are known."""
    for scheme in ("key_range", "row_hash", "key_hash"):
        found = plan_verification(scheme, is_listed=True, touched_rows=99, source_rows=100, keeps_rows=True)
        assert found is Verification.KEYS
    found = plan_verification("key_range", is_listed=False, touched_rows=9, source_rows=100, keeps_rows=True)
    assert found is Verification.TOUCHED
