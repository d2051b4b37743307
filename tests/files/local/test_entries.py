"""Times of files: what is racy, and times that do not fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.files.local.entries import PERMISSION_BITS, RacyTimes, entry_of_directory, entry_of_file

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("age", "racy"),
    [
        (0, True),
        (99_999_999, True),
        (100_000_001, False),
        (1 * SECOND, True),
        (2 * SECOND, True),
        (3 * SECOND, False),
        (-5, True),
        (-3600 * SECOND, True),
    ],
)
def test_what_is_racy(age: int, racy: bool) -> None:
    """A file is racy within some clock ticks, within 2 seconds on coarse file systems, or in the future."""
    assert RacyTimes(NOW).is_racy(NOW - age) is racy


def test_the_older_time_decides(tmp_path: Path) -> None:
    """A new file with an old time of modification is not racy, because another write would show."""
    file = tmp_path / "file"
    file.touch()
    assert entry_of_file("file", file.stat(), RacyTimes.now()).racy
    os.utime(file, ns=(0, NOW))
    entry = entry_of_file("file", file.stat(), RacyTimes.now())
    assert not entry.racy
    assert entry.changed_ns == NOW


def test_a_clock_that_went_back(tmp_path: Path) -> None:
    """A file with both times in the future is racy until then."""
    file = tmp_path / "file"
    file.touch()
    os.utime(file, ns=(0, NOW * 2))
    assert entry_of_file("file", file.stat(), RacyTimes(NOW)).racy


def test_times_beyond_64_bits() -> None:
    """A time that does not fit the protocol or SQLite becomes the nearest possible one."""
    fields = [0o100644, 1, 1, 1, 0, 0, 5, 0, 0, 0, *[0.0] * 3, *[0, 2**63, -(2**63) - 1]]
    entry = entry_of_file("file", os.stat_result(fields), RacyTimes(NOW))
    assert entry.mtime_ns == 2**63 - 1
    assert entry.changed_ns == -(2**63)


def test_zero_is_not_unknown(tmp_path: Path) -> None:
    """The first moment of 1970 and permissions 0 do not count as unknown."""
    path = tmp_path / "file"
    path.touch()
    os.utime(path, ns=(0, 0))
    path.chmod(0)
    entry = entry_of_file("file", path.stat(), RacyTimes.now())
    assert 0 < entry.mtime_ns < SECOND
    assert entry.mode
    assert not entry.mode & PERMISSION_BITS
    directory = entry_of_directory("d", os.stat_result([0o40000, *[0] * 18]))
    assert directory.mode
    assert not directory.mode & PERMISSION_BITS
