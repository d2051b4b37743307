"""Files that messages tell of are kept by name up to a limit, and counted beyond it."""

from __future__ import annotations

from airflow_provider_sync.sync.directories.noted_files import NotedFiles
from airflow_provider_sync.sync.directories.problems import MAX_KEPT


def test_names_are_bounded() -> None:
    """The names of the first noted files are kept, up to a limit, and all files are counted."""
    noted = NotedFiles()
    for number in range(3 * MAX_KEPT):
        noted.add(f"{number}", "why")
    assert (len(noted), noted.more, list(noted.named)[-1]) == (3 * MAX_KEPT, 2 * MAX_KEPT, f"{MAX_KEPT - 1}")


def test_a_file_counts_once() -> None:
    """A file that fails again replaces its first failure."""
    noted = NotedFiles({"a": "first"})
    noted.add("a", "second")
    assert (len(noted), noted.named) == (1, {"a": "second"})


def test_notes_add_up() -> None:
    """Files that were noted elsewhere are added with their number."""
    noted = NotedFiles({"a": ""}, more=2)
    noted.add_noted(NotedFiles({"b": "why"}, more=3))
    assert (len(noted), noted.named, noted.more) == (7, {"a": "", "b": "why"}, 5)
