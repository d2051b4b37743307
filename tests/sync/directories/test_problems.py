"""What is said of files that could not be synced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from airflow_provider_sync.sync.directories.problems import is_below


class _Looked(dict[str, str]):
    """Answers what it has, and does not go through all of it."""

    def __iter__(self) -> Iterator[NoReturn]:
        raise AssertionError("it was gone through")


def test_files_below_what_cannot_be_read() -> None:
    """Finding whether a file is below one of a million directories takes no scan of them."""
    unreadable = _Looked({"a/b/": "", "c": "", "d/": ""})
    found = [path for path in ("a/b/x", "a/b/c/d", "a/bc", "a/x", "c/x", "d/", "d", "x/d/y") if is_below(path, unreadable)]
    assert found == ["a/b/x", "a/b/c/d", "d/"]
