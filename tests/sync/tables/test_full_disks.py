"""Disks that are full, or may not be written to: the target is old or new, nothing is left behind, and the next run succeeds."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.report import DirectoryReport
from tests.sync.directories.mirror import Mirror, everything
from tests.sync.link import Link, linked

MS_RDONLY, MS_REMOUNT = 1, 32


class SmallDisk:
    """A file system of one megabyte in memory."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sync-disk-"))
        self._libc = ctypes.CDLL(None, use_errno=True)

    def mount(self, size: str = "1m", *, flags: int = 0) -> None:
        """Mount it; with ``MS_REMOUNT`` change its size."""
        if self._libc.mount(b"tmpfs", bytes(self.path), b"tmpfs", flags, f"size={size},mode=0777".encode()):
            raise OSError(ctypes.get_errno(), "no file system can be mounted here")

    def grow(self) -> None:
        """Give it room."""
        self.mount("64m", flags=MS_REMOUNT)

    def close_for_writing(self) -> None:
        """Let nobody write to it."""
        self.mount(flags=MS_REMOUNT | MS_RDONLY)

    def __enter__(self) -> Self:
        try:
            self.mount()
        except OSError as error:
            self.path.rmdir()
            pytest.skip(str(error))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
        self.path.rmdir()


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """Give a disk of one megabyte."""
    with SmallDisk() as disk:
        yield disk


@pytest.fixture
def onto(disk: SmallDisk, tmp_path: Path) -> Mirror:
    """Give a source, and a target on the small disk."""
    return Mirror(open_storage(str(tmp_path / "source")), open_storage(str(disk.path / "target")))


def test_a_directory_on_a_full_disk(onto: Mirror, disk: SmallDisk) -> None:
    """Files that fit arrive, the next keeps its old content; nothing is deleted, and no temporary file stays."""
    onto.put("a", "new")
    onto.put("b", "x" * 2_000_000)
    onto.put_target("b", "old")
    onto.put_target("z")
    with pytest.raises(SyncFailed, match=r"Cannot write 'b'.*No space left on device. Free some space") as failure:
        onto.sync()
    (report,) = failure.value.reports
    assert isinstance(report, DirectoryReport)
    assert (report.status, report.files_added, report.files_updated, report.files_deleted) == ("failed", 1, 0, 0)
    assert onto.contents() == {"a": "new", "b": "old", "z": "content"}
    assert everything(disk.path / "target") == ["a", "b", "z"]
    disk.grow()
    assert onto.sync().files_deleted == 1
    onto.assert_equal()


def test_a_directory_that_may_not_be_written(onto: Mirror, disk: SmallDisk) -> None:
    """A target on a read-only disk is an error that says so, and nothing is changed."""
    onto.put("a", "new")
    onto.put_target("a", "old")
    disk.close_for_writing()
    with pytest.raises(SyncFailed, match="Read-only file system") as failure:
        onto.sync()
    assert not failure.value.retryable
    assert onto.contents() == {"a": "old"}


CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(2000))"
FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t SELECT i, {value} FROM n"
LONG = "hex(zeroblob(1000))"


@pytest.fixture
def small(disk: SmallDisk, tmp_path: Path) -> Iterator[Link]:
    """Give a source of two megabytes, and a target on the small disk."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", f"sqlite:///{disk.path / 'target.db'}") as link:
        link.protocol = "2"
        link.create(CREATE)
        link.source.execute(FILL.format(value=LONG))
        yield link


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("filled", [False, True], ids=["first", "difference"])
def test_a_table_on_a_full_disk(small: Link, disk: SmallDisk, filled: bool, protocol: str) -> None:
    """On a full disk, a first load and a staging leave the table as it was; the error says what to do."""
    small.protocol = protocol
    if filled:
        small.target.execute(FILL.format(value="'old'"))
    before = small.target.rows("t")
    with pytest.raises(SyncFailed, match=r"disk is full. Free some space") as failure:
        small.sync_one("t")
    assert not failure.value.retryable
    assert small.target.rows("t") == before
    small.assert_clean()
    disk.grow()
    assert small.sync_one("t").status == "changed"
    small.assert_equal("t")


def test_a_table_that_may_not_be_written(small: Link, disk: SmallDisk) -> None:
    """A database on a read-only disk is a permanent error."""
    small.target.execute(FILL.format(value="'old'"))
    disk.close_for_writing()
    with pytest.raises(SyncFailed, match=r"readonly|Read-only") as failure:
        small.sync_one("t")
    assert not failure.value.retryable


@pytest.mark.skipif(os.geteuid() != 0, reason="the server's user has to own the disk")
@pytest.mark.parametrize("filled", [False, True], ids=["first", "difference"])
def test_postgresql_on_a_full_disk(postgresql_url: str, disk: SmallDisk, tmp_path: Path, filled: bool) -> None:
    """A PostgreSQL target whose disk is full is as it was, and the error says what to do."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", postgresql_url) as link:
        link.protocol = "2"
        place = disk.path / "space"
        place.mkdir()
        place.chmod(0o700)
        owner = Path(link.target.scalar("SHOW data_directory")).stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        name = disk.path.name.replace("-", "_")
        link.target.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'", f"{CREATE} TABLESPACE {name}")
        try:
            link.source.execute(CREATE, FILL.format(value=LONG))
            # Long texts are compressed, so that these are not.
            link.target.execute("ALTER TABLE t ALTER v SET STORAGE PLAIN")
            if filled:
                link.target.execute("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 1000) i")
            before = link.target.rows("t")
            with pytest.raises(SyncFailed, match="Free some space") as failure:
                link.sync_one("t")
            assert not failure.value.retryable
            assert link.target.rows("t") == before
            link.assert_clean()
            disk.grow()
            link.sync_one("t")
            link.assert_equal("t")
        finally:
            link.target.execute("DROP TABLE t")
            link.target.database.engine.dispose()
            link.target.execute(f"DROP TABLESPACE {name}")
