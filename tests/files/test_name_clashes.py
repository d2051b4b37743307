"""Names that some file systems take for one."""

from __future__ import annotations

import pytest

from airflow_provider_sync.files import NameClashes
from airflow_provider_sync.protocol.v2.file_messages import path_order


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
        (["caf\u00e9", "cafe\u0301"], ("cafe\u0301", "caf\u00e9")),
        (["\u00c9/a", "e\u0301/b"], ("e\u0301", "\u00c9")),
    ],
)
def test_the_first_clash(paths: list[str], first: tuple[str, str] | None) -> None:
    """The check finds the first two names of a directory that differ only in case or composition."""
    clashes = NameClashes()
    for path in sorted(paths, key=path_order):
        clashes.add(path)
    assert clashes.first == first


def test_names_of_the_target_count_for_its_file_system() -> None:
    """A clash with a name of the target is a matter of its file system only and not reported for the source."""
    clashes = NameClashes()
    for path, at_source in (("D/a", False), ("b", False), ("d/b", True)):
        clashes.add(path, at_source=at_source)
    assert (clashes.first, clashes.pairs) == (None, (("D", "d"),))
    clashes.add("d/B")
    clashes.add("d/x", at_source=False)
    clashes.add("d/\u00e9")
    clashes.add("d/e\u0301", at_source=False)
    assert clashes.first == ("d/b", "d/B")
    assert clashes.pairs == (("D", "d"), ("d/\u00e9", "d/e\u0301"))


def test_a_directory_that_both_sides_have_is_the_source_s() -> None:
    """A directory that both sides have clashes as one of the source, even if the target listed it first."""
    clashes = NameClashes()
    for path, at_source in (("D/a", False), ("D/b", True), ("d/b", True)):
        clashes.add(path, at_source=at_source)
    assert clashes.first == ("D", "d")
