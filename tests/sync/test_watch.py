"""The digest of a source, asked of a real server."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import FileError, ServerError
from airflow_provider_sync.files.local import entries as local_entries
from airflow_provider_sync.protocol.v2.messages import RequestedSlice
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import Watched, WatchedDirectory, WatchedTable, source_digest, watch
from tests.server.wire import config
from tests.source_server import TOKEN, Source, source

__all__ = ["source"]


def digest(source: Source, watched: Watched, protocol: str = "2", known: str | None = None) -> str:
    """Ask once."""
    with SyncClient(source.url, token=TOKEN, protocol=protocol) as client:
        return source_digest(client, watched, known=known)


def table(name: str, *columns: str) -> WatchedTable:
    """Watch a table."""
    return WatchedTable(table_slice=RequestedSlice(name=name, columns=columns or None))


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO orders VALUES (9, 'i', '9')", "UPDATE orders SET amount = '2' WHERE id = 1", "DELETE FROM orders WHERE id = 1"],
)
def test_every_change_of_a_table_is_seen(source: Source, statement: str, protocol: str) -> None:
    """A new, changed or deleted row changes the digest, and nothing else does."""
    before = digest(source, table("orders"), protocol)
    source.execute("UPDATE customers SET name = 'Bob'")
    assert digest(source, table("orders"), protocol) == before
    source.execute(statement)
    assert digest(source, table("orders"), protocol) != before


def test_a_change_and_its_reverse(source: Source) -> None:
    """The same content has the same digest, after any changes in between."""
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
    """The columns of a table are part of its state."""
    source.execute("DELETE FROM orders")
    before = digest(source, table("orders"))
    source.execute("ALTER TABLE orders ADD COLUMN more INTEGER")
    assert digest(source, table("orders")) != before


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file be so young that a further change might not show in its times."""
    monkeypatch.setattr(local_entries, "_FINE_NS", 0)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("protocol", ["1", "auto"])
def test_every_change_of_a_directory_is_seen(source: Source, protocol: str) -> None:
    """A new, changed or deleted file changes the digest, unless it is excluded."""
    images = WatchedDirectory(name="images", exclude=("*.tmp",))
    seen = [digest(source, images, protocol)]
    source.write("images", "new.tmp", "left out")
    assert digest(source, images, protocol, known=seen[0]) == seen[0]
    for path, content in (("new.txt", "new"), ("new.txt", "wen"), ("new.txt", "another")):
        source.write("images", path, content)
        seen.append(digest(source, images, protocol, known=seen[-1]))
    source.folder.joinpath("images/new.txt").unlink()
    assert digest(source, images, protocol, known=seen[0]) == seen[0]
    seen.append(digest(source, images, protocol, known=seen[-1]))
    assert all(before != after for before, after in pairwise(seen))


@pytest.mark.usefixtures("settled")
def test_an_unchanged_directory_costs_a_line(source: Source) -> None:
    """If nothing changed since the known digest, the answer has less than a kilobyte."""
    for number in range(200):
        source.write("images", f"{number}-{'x' * 50}.txt", "content")
    images = WatchedDirectory(name="images")
    with SyncClient(source.url, token=TOKEN) as client:
        known = source_digest(client, images)
        before = client.traffic.bytes_received, client.traffic.requests
        assert source_digest(client, images, known=known) == known
        assert client.traffic.bytes_received - before[0] < 1000
        assert client.traffic.requests - before[1] == 1


def test_a_young_file_is_looked_at_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change right after a poll with equal size and time is found by a later poll."""
    images = WatchedDirectory(name="images")
    monkeypatch.setattr(watch, "YOUNG_SECONDS", (0.0,))
    monkeypatch.setattr(local_entries, "_FINE_NS", 3_600 * 10**9)
    young = digest(source, images)
    file = source.folder / "images" / "one.txt"
    times = file.stat()
    file.write_text(file.read_text()[::-1])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(source, images, known=young) == young
    monkeypatch.setattr(local_entries, "_FINE_NS", 0)
    old = digest(source, images, known=young)
    assert old != young
    assert digest(source, images, known=old) == old


def test_the_digest_of_another_version_is_another_state(source: Source) -> None:
    """A version 1 digest is not a version 2 state: the directory counts as changed once."""
    images = WatchedDirectory(name="images")
    known = digest(source, images, "1")
    assert digest(source, images, known=known) not in (known, "")


def test_directories_without_digests_are_refused(source: Source) -> None:
    """Where version 1 could see no change, that is an error that says what to do; version 2 needs no digests."""
    options = {"images": {"path": str(source.folder / "images"), "hasher": "none"}}
    images = WatchedDirectory(name="images")
    with RunningServer(config(f"sqlite:///{source.database}", directories=options)) as server:
        with (
            SyncClient(server.url, protocol=1) as client,
            pytest.raises(FileError, match=r"no digests for directory 'images'.*Set hasher: md5"),
        ):
            source_digest(client, images)
        with SyncClient(server.url) as client:
            assert source_digest(client, images)


@pytest.mark.parametrize("watched", [table("nothing"), WatchedDirectory(name="nothing")])
def test_names_that_are_not_offered(source: Source, watched: Watched) -> None:
    """What the server does not offer cannot be watched."""
    with pytest.raises(ServerError, match="nothing"):
        digest(source, watched)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("protocol", ["1", "auto"])
def test_a_folder_of_a_directory(source: Source, protocol: str) -> None:
    """Below a prefix, only its files make a difference."""
    source.write("images", "2026/01.txt", "january")
    january = WatchedDirectory(name="images", prefix="2026")
    before = digest(source, january, protocol)
    source.write("images", "2025/01.txt", "long ago")
    assert digest(source, january, protocol, known=before) == before
    source.write("images", "2026/01.txt", "another january")
    assert digest(source, january, protocol, known=before) != before
