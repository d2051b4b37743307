"""Names of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import check_name
from airflow_provider_sync.files.paths import is_temporary, parents, temporary_name

GOOD = [
    "a",
    ".hidden",
    "...",
    "..a/b..",
    "sub/x.txt",
    "back\\slash",
    "..\\..\\etc",
    "new\nline",
    " lead",
    "tab\t",
    "C:",
    "häß/雪/😀",
    "e\u0301",
    "*?[x]",
    "~",
    "%2e%2e",
    "x" * 255,
    "/".join("d" * 2047),
    ".airflow-sync-1.part",
]
BAD = [
    "",
    "/",
    "/etc/passwd",
    ".",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "nul\0",
    "\udcff",
    "a\ud800/b",
    "x" * 256,
    "é" * 128,
    "a/" * 2048 + "a",
    ".airflow-sync-0123456789abcdef.part",
    "a/.airflow-sync-0123456789abcdef.part/b",
]


@pytest.mark.parametrize("name", GOOD)
def test_allows_what_posix_allows(name: str) -> None:
    """A relative name of plain components is split into them, whatever their characters."""
    assert check_name(name) == tuple(name.split("/"))


@pytest.mark.parametrize("name", BAD, ids=lambda name: ascii(name)[:20])
def test_refuses_what_leads_out_or_cannot_be(name: str) -> None:
    """A name that leaves the root, or that no file can have, is refused in a short printable message."""
    with pytest.raises(FileError) as failure:
        check_name(name)
    assert str(failure.value).encode()
    assert len(str(failure.value)) < 3000


@given(st.text(alphabet="./a\0\\\udcff", max_size=12))
def test_accepted_names_stay_below_the_root(name: str) -> None:
    """An accepted name has no component that leads up, and its components join to the same name."""
    try:
        components = check_name(name)
    except FileError:
        return
    assert "/".join(components) == name
    assert not {"", ".", ".."} & set(components)


def test_temporary_names_are_known_again() -> None:
    """A temporary name is recognised at any depth, and no two are equal."""
    name = temporary_name()
    assert is_temporary(name)
    assert is_temporary(f"a/{name}")
    assert is_temporary(f"{name}/a")
    assert not is_temporary(f"{name}x")
    assert name != temporary_name()


def test_parents_are_the_directories_above() -> None:
    """The parents of a path are its directories, nearest first, without the root."""
    assert list(parents("a/b/c")) == ["a/b", "a"]
    assert list(parents("a")) == []
