"""Listings by key, put into the order of paths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.objects.ordered_listing import FoundObject, in_path_order
from airflow_provider_sync.protocol.v2.file_messages import path_order

KEYS = st.lists(st.text("ab-./0é\U0010ffff", min_size=1, max_size=7), max_size=60, unique=True)


class Store:
    """Lists keys by pages, and counts the keys that it listed."""

    def __init__(self, keys: list[str], page_size: int) -> None:
        self._keys = sorted(keys, key=str.encode)
        self._page_size = page_size
        self.listed = 0
        self.begun: list[tuple[str, str]] = []

    def pages(self, prefix: str, after: str = "") -> Iterator[list[FoundObject]]:
        """Begin a listing."""
        self.begun.append((prefix, after))
        found = [FoundObject(key, 1, 0, b"") for key in self._keys if key.startswith(prefix) and key > after]
        for start in range(0, len(found), self._page_size):
            page = found[start : start + self._page_size]
            self.listed += len(page)
            yield page


@given(keys=KEYS, page_size=st.integers(1, 20), max_held=st.integers(0, 10), prefix=st.sampled_from(["", "a/", "a-/"]))
@example(keys=["a-1", "a-2", "a-3", "a/-1", "a/-2", "a/-/x", "a0"], page_size=2, max_held=0, prefix="")
@example(keys=["0", "/", ".", "-", ".0"], page_size=3, max_held=0, prefix="")
@example(keys=[".", "/\U0010ffff0"], page_size=1, max_held=0, prefix="")
def test_keys_come_in_the_order_of_paths(keys: list[str], page_size: int, max_held: int, prefix: str) -> None:
    """For any keys and pages, each object comes once, in the order of paths."""
    found = in_path_order(Store(keys, page_size).pages, prefix, max_held=max_held)
    assert [each.key for each in found] == sorted((key for key in keys if key.startswith(prefix)), key=path_order)


def test_objects_come_while_the_listing_goes_on() -> None:
    """Ordinary names are returned page by page."""
    store = Store([f"folder-{folder}/file-{number:04}.txt" for folder in range(10) for number in range(1000)], 1000)
    found = in_path_order(store.pages, "", max_held=2000)
    next(found)
    assert store.listed <= 4000
    assert len(list(found)) == 9_999
    assert store.listed == 10_000


@pytest.mark.parametrize("in_folder", [0, 1500])
def test_a_folder_that_holds_up_many_objects_is_listed_ahead(in_folder: int) -> None:
    """If thousands of names must wait for a folder, it is listed first and skipped later."""
    keys = [f"part-{number:05}" for number in range(5000)] + [f"part/{number:05}" for number in range(in_folder)] + ["zoo"]
    store = Store(keys, 100)
    found = in_path_order(store.pages, "", max_held=300)
    first = next(found)
    assert first.key == ("part/00000" if in_folder else "part-00000")
    assert store.listed <= 700
    assert [first.key, *(each.key for each in found)] == sorted(keys, key=path_order)
    assert [prefix for prefix, _ in store.begun] == ["", "part/", *[""] * bool(in_folder)]
    assert store.listed <= 5001 + in_folder + 200


def test_a_store_without_order_is_refused() -> None:
    """A store with unsorted listings is an error."""
    pages = [[FoundObject("b", 1, 0, b"")], [FoundObject("a", 1, 0, b"")]]
    with pytest.raises(FileError, match="lists 'a' after 'b'"):
        list(in_path_order(lambda prefix, after="": iter(pages), ""))
