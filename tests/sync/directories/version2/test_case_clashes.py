"""Names that differ in case only."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.sync.directories.version2.case_clashes import CaseClashes


@pytest.mark.parametrize(
    ("paths", "first"),
    [
        (["a", "b", "c/a", "c/b", "d/c/a"], None),
        (["README", "Readme"], ("README", "Readme")),
        (["x/y/A", "x/y/b", "x/y/c/z", "x/y/a"], ("x/y/A", "x/y/a")),
        (["D/a", "d/b"], ("D", "d")),
        (["e/D/a", "e/d/b"], ("e/D", "e/d")),
        (["a/x", "b/X", "c"], None),
        (["STRASSE", "straße"], ("STRASSE", "straße")),
        (["A", "B", "a", "b"], ("A", "a")),
    ],
)
def test_the_first_clash(paths: list[str], first: tuple[str, str] | None) -> None:
    """The first two names of one directory that differ in case only are found, directories too, listed or not."""
    clashes = CaseClashes()
    for path in sorted(paths, key=path_order):
        clashes.add(path)
    assert clashes.first == first
