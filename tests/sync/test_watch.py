"""The digest of a source, asked of a real server."""

from __future__ import annotations

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import FileError, ServerError
from airflow_provider_sync.protocol.v2.messages import RequestedSlice
from airflow_provider_sync.server.uvicorn_server import RunningServer
from airflow_provider_sync.sync import Watched, WatchedDirectory, WatchedTable, source_digest
from tests.server.wire import config
from tests.source_server import TOKEN, Source, source

__all__ = ["source"]


def digest(source: Source, watched: Watched, protocol: str = "2") -> str:
    """Ask once."""
    with SyncClient(source.url, token=TOKEN, protocol=protocol) as client:
        return source_digest(client, watched)


def table(name: str, *columns: str) -> WatchedTable:
    """Watch a table."""
    return WatchedTable(table_slice=RequestedSlice(name=name, columns=columns or None))


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO orders VALUES (9, 'i', '9')", "UPDATE orders SET amount = '2' WHERE id = 1", "DELETE FROM orders WHERE id = 1"],
)
def test_every_change_of_a_table_is_seen(source: Source, statement: str, protocol: str) -> None:
    """A row that is new, another or gone makes another digest, and nothing else does."""
    before = digest(source, table("orders"), protocol)
    source.execute("UPDATE customers SET name = 'Bob'")
    assert digest(source, table("orders"), protocol) == before
    source.execute(statement)
    assert digest(source, table("orders"), protocol) != before


def test_a_change_and_its_reverse(source: Source) -> None:
    """The same content has the same digest, whatever was in between."""
    before = digest(source, table("orders"))
    source.execute("DELETE FROM orders")
    assert digest(source, table("orders")) != before
    source.execute("INSERT INTO orders VALUES (1, 'Ärger', '1.10'), (2, 'b''c', NULL), (3, '', '-7.00')")
    assert digest(source, table("orders")) == before


def test_other_columns_do_not_matter(source: Source) -> None:
    """Only the columns that are watched make a difference."""
    before = digest(source, table("orders", "name"))
    source.execute("UPDATE orders SET amount = '99'")
    assert digest(source, table("orders", "name")) == before
    source.execute("UPDATE orders SET name = 'x' WHERE id = 1")
    assert digest(source, table("orders", "name")) != before


def test_new_columns_of_an_empty_table_are_seen(source: Source) -> None:
    """What a table is made of is part of its state."""
    source.execute("DELETE FROM orders")
    before = digest(source, table("orders"))
    source.execute("ALTER TABLE orders ADD COLUMN more INTEGER")
    assert digest(source, table("orders")) != before


def test_every_change_of_a_directory_is_seen(source: Source) -> None:
    """A file that is new, another or gone makes another digest, unless it is not selected."""
    images = WatchedDirectory(name="images", exclude=("*.tmp",))
    seen = [digest(source, images)]
    source.write("images", "new.tmp", "left out")
    assert digest(source, images) == seen[0]
    for path, content in (("new.txt", "new"), ("new.txt", "another")):
        source.write("images", path, content)
        seen.append(digest(source, images))
    assert len(set(seen)) == 3
    source.folder.joinpath("images/new.txt").unlink()
    assert digest(source, images) == seen[0]


def test_directories_without_digests_are_refused(source: Source) -> None:
    """A directory in which no change could be seen is an error that says what to do."""
    options = {"images": {"path": str(source.folder / "images"), "hasher": "none"}}
    with (
        RunningServer(config(f"sqlite:///{source.database}", directories=options)) as server,
        SyncClient(server.url) as client,
        pytest.raises(FileError, match=r"no digests for directory 'images'.*Set hasher: md5"),
    ):
        source_digest(client, WatchedDirectory(name="images"))


@pytest.mark.parametrize("watched", [table("nothing"), WatchedDirectory(name="nothing")])
def test_names_that_are_not_offered(source: Source, watched: Watched) -> None:
    """What the server does not offer cannot be watched."""
    with pytest.raises(ServerError, match="nothing"):
        digest(source, watched)


def test_a_folder_of_a_directory(source: Source) -> None:
    """Below a prefix, only its files make a difference."""
    source.write("images", "2026/01.txt", "january")
    january = WatchedDirectory(name="images", prefix="2026")
    before = digest(source, january)
    source.write("images", "2025/01.txt", "long ago")
    assert digest(source, january) == before
    source.write("images", "2026/01.txt", "another january")
    assert digest(source, january) != before
