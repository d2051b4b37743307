"""Where a sync moves what it replaces and deletes."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, FileChangedError, FileError
from airflow_provider_sync.files.local import backup_folder
from airflow_provider_sync.files.local.backup_folder import folder_inside
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import Backup
from tests.files.conftest import tree
from tests.files.local.writing import LONG_AGO, PLAIN


def replace(storage: LocalStorage, backup: Backup, *, durable: bool = True) -> None:
    """Replace ``file`` and remove ``sub/removed``."""
    with storage.writer(durable=durable, may_replace=lambda path: False, backup=backup) as writer:
        writer.put("file", b"new", PLAIN)
        writer.commit()
        writer.remove("sub/removed")


@pytest.mark.parametrize("inside", [True, False])
def test_backups(storage: LocalStorage, root: Path, tmp_path: Path, inside: bool) -> None:
    """Replaced and deleted files go to the backup by the run's time, the first version of a run only."""
    folder = root / "backup" if inside else tmp_path / "elsewhere" / "backup"
    for name in ("file", "dir/x", "removed", "obstacle"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"old")
    (root / "link").symlink_to("file")
    with storage.writer(may_replace=lambda path: True, backup=Backup("backup" if inside else str(folder))) as writer:
        assert not folder.exists()
        for content in (b"new", b"newer"):
            writer.put("file", content, PLAIN)
            writer.commit()
        writer.put("dir", b"new", PLAIN)
        writer.put("obstacle/x", b"new", PLAIN)
        writer.put("new", b"new", PLAIN)
        writer.commit()
        for path in ("removed", "link", "missing", "dir"):
            writer.remove(path)
        writer.copy("moved", "file", PLAIN, move=True)
        writer.commit()
        writer.remove("file")
        writer.remove("obstacle/x")
    (run,) = folder.iterdir()
    assert len(run.name) == len("2026-11-29T081500Z")
    assert tree(run) == {
        "file": b"old",
        "dir": None,
        "dir/x": b"old",
        "removed": b"old",
        "link": b"-> file",
        "obstacle": b"old",
    }


@pytest.mark.parametrize("durable", [True, False])
def test_a_backup_on_another_disk(storage: LocalStorage, root: Path, durable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files on another disk are copied with times and permissions; links stay links, pipes are skipped."""
    (root / "sub").mkdir()
    (root / "file").write_bytes(b"old")
    os.utime(root / "file", ns=(LONG_AGO, LONG_AGO))
    (root / "file").chmod(0o640)
    (root / "sub" / "removed").symlink_to("../file")
    monkeypatch.setattr(os, "link", _fails(errno.EXDEV))
    with storage.writer(durable=durable, may_replace=lambda path: False, backup=Backup("backup")) as writer:
        for content in (b"new", b"newer"):
            writer.put("file", content, PLAIN)
            writer.commit()
        for target in ("../file", "other"):
            writer.remove("sub/removed")
            writer.make_link("sub/removed", target)
            writer.commit()
    (run,) = (root / "backup").iterdir()
    assert tree(run) == {"file": b"old", "sub": None, "sub/removed": b"-> ../file"}
    status = (run / "file").stat()
    assert (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (LONG_AGO, 0o640)
    assert tree(root / "sub") == {"removed": b"-> other"}


@pytest.mark.parametrize(("call", "code"), [("link", errno.ENOSPC), ("fsync", errno.EIO)])
def test_a_backup_that_fails(storage: LocalStorage, root: Path, call: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be backed up is neither replaced nor removed, and nothing incomplete is in the backup."""
    (root / "file").write_bytes(b"old")

    def work(step: Callable[[LocalTreeWriter], object]) -> None:
        with storage.writer(durable=False, may_replace=lambda path: False, backup=Backup("backup")) as writer:
            step(writer)

    if call == "fsync":
        monkeypatch.setattr(os, "link", _fails(errno.EXDEV))
    monkeypatch.setattr(os, call, _fails(code))
    with pytest.raises(FileError, match="Cannot write 'file'"):
        work(lambda writer: writer.put("file", b"new", PLAIN))
    with pytest.raises(FileError, match="Cannot delete 'file'"):
        work(lambda writer: writer.remove("file"))
    assert (root / "file").read_bytes() == b"old"
    assert [path for path in (root / "backup").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("in_the_way", ["file", "dangling link"])
@pytest.mark.parametrize("below", ["", "/deep"])
def test_a_backup_that_cannot_be_made(storage: LocalStorage, root: Path, tmp_path: Path, in_the_way: str, below: str) -> None:
    """If a file or dangling link is in place of the backup folder, nothing is replaced or removed."""
    (root / "sub").mkdir()
    for path in ("file", "sub/removed"):
        (root / path).write_bytes(b"old")
    place = tmp_path / "place"
    place.write_bytes(b"mine") if in_the_way == "file" else place.symlink_to("nowhere/at/all")
    backup = Backup(f"../place{below}")
    for step in (lambda writer: writer.put("file", b"new", PLAIN), lambda writer: writer.remove("sub/removed")):
        with (
            pytest.raises(ConfigurationError, match=r"backup: .*place.* cannot be made"),
            storage.writer(may_replace=lambda path: False, backup=backup) as writer,
        ):
            step(writer)
    assert tree(root) == {"file": b"old", "sub": None, "sub/removed": b"old"}


def test_a_backup_that_disappears(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    """If the folder is removed during a run, no more files are replaced or removed."""
    for path in ("b", "c"):
        (root / path).write_bytes(b"old")

    def work(step: Callable[[LocalTreeWriter], object]) -> None:
        (root / "a").write_bytes(b"old")
        with storage.writer(may_replace=lambda path: False, backup=Backup(str(tmp_path / "backup"))) as writer:
            writer.remove("a")
            shutil.rmtree(tmp_path / "backup")
            step(writer)

    with pytest.raises(FileChangedError, match="was removed during the sync"):
        work(lambda writer: writer.put("b", b"new", PLAIN))
    with pytest.raises(FileChangedError, match="was removed during the sync"):
        work(lambda writer: writer.remove("c"))
    work(lambda writer: writer.remove("a"))
    assert tree(root) == {"b": b"old", "c": b"old"}


@pytest.mark.parametrize("root_mode", [0o700, 0o755])
def test_private_directories_stay_private(storage: LocalStorage, root: Path, tmp_path: Path, root_mode: int) -> None:
    """A directory of the backup lets in nobody whom the directory of the files kept out, whichever of them comes first."""
    folder = tmp_path / "elsewhere"
    private = root / "public" / "private"
    (private / "below").mkdir(parents=True)
    (root / "obstacle" / "below").mkdir(parents=True)
    for path in ("obstacle/below/x", "public/private/below/x", "public/private/x", "public/x", "x"):
        (root / path).write_bytes(b"old")
    (root / "obstacle").chmod(0o710)
    root.chmod(root_mode)
    private.chmod(0o700)
    with storage.writer(may_replace=lambda path: True, backup=Backup(str(folder))) as writer:
        writer.put("obstacle", b"a file in place of a directory", PLAIN)
        writer.put("public/private/below/x", b"new", PLAIN)
        writer.commit()
        for path in ("public/private/x", "public/x", "x"):
            writer.remove(path)
    (run,) = folder.iterdir()
    modes = {path: stat.S_IMODE((run / path).stat().st_mode) for path in ("", "obstacle", "obstacle/below", "public")}
    assert modes == {"": root_mode, "obstacle": 0o710, "obstacle/below": 0o755, "public": 0o755}
    assert stat.S_IMODE((run / "public/private").stat().st_mode) == 0o700
    assert (run / "public/private/below/x").read_bytes() == b"old"


def test_old_runs_are_removed(storage: LocalStorage, root: Path) -> None:
    """Folders of runs older than the configured days are removed, and no others."""
    (root / "file").write_bytes(b"old")
    now = datetime.now(UTC)
    names = {days: (now - timedelta(days=days)).strftime("%Y-%m-%dT%H%M%SZ") for days in (-1, 6, 8)}
    folder = root / "backup"
    for name in (*names.values(), names[8] + "-2", "2020-13-45T000000Z", "2020", "mine"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x").write_bytes(b"x")
    (folder / "2001-01-01T000000Z").symlink_to("mine")
    (folder / "2001-01-02T000000Z").write_bytes(b"no folder")
    replace(storage, Backup("backup"))
    assert (folder / names[8]).is_dir()
    replace(storage, Backup("backup", days=7))
    left = {path.name for path in folder.iterdir()}
    assert left >= {names[-1], names[6], "2020-13-45T000000Z", "2020", "mine", "2001-01-01T000000Z", "2001-01-02T000000Z"}
    assert not left & {names[8], names[8] + "-2"}
    assert (folder / "mine" / "x").exists()


def test_a_sync_that_changes_nothing(storage: LocalStorage, root: Path) -> None:
    """Without changes, no folder is created, and old runs are still removed."""
    with storage.writer(may_replace=lambda path: False, backup=Backup("backup", days=1)):
        pass
    assert tree(root) == {}
    (root / "backup" / "2001-01-01T000000Z").mkdir(parents=True)
    with storage.writer(may_replace=lambda path: False, backup=Backup("backup", days=1)):
        pass
    assert tree(root) == {"backup": None}


def test_runs_of_one_second(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs in one second have separate folders; a thousand are an error."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Clock:  # type: ignore[override]
            return cls(2026, 11, 29, 8, 15, tzinfo=UTC)

    monkeypatch.setattr(backup_folder, "datetime", Clock)
    for content in (b"1", b"2"):
        (root / "file").write_bytes(content)
        replace(storage, Backup("backup"))
    assert {path.name: (path / "file").read_bytes() for path in (root / "backup").iterdir()} == {
        "2026-11-29T081500Z": b"1",
        "2026-11-29T081500Z-2": b"2",
    }
    monkeypatch.setattr(backup_folder, "_MAX_RUNS_PER_SECOND", 3)
    with pytest.raises(FileError, match=r"Cannot write 'file' in .*: File exists"):
        replace(storage, Backup("backup"))


def test_where_a_backup_may_be(root: Path, tmp_path: Path) -> None:
    """A folder inside the root has its path there; one that contains the root is refused."""
    (tmp_path / "link").symlink_to(root / "b")
    assert folder_inside(root, "a/b") == "a/b"
    assert folder_inside(root, "./..b") == "..b"
    assert folder_inside(root, str(root / "a")) == "a"
    assert folder_inside(root, str(tmp_path / "link")) == "b"
    assert folder_inside(root, "../elsewhere") is None
    assert folder_inside(root, str(tmp_path / "elsewhere")) is None
    for folder in ("", ".", "..", "../..", "a/..", str(root), "/"):
        with pytest.raises(ConfigurationError, match=r"backup is .*, which contains the directory itself"):
            folder_inside(root, folder)


def test_nothing_is_written_into_the_backup(storage: LocalStorage, root: Path) -> None:
    """A source file below the backup's folder is refused, so that it cannot fake a backup."""
    with storage.writer(may_replace=lambda path: False, backup=Backup("backup")) as writer:
        for path in ("backup", "backup/x", "backup/2026-11-29T081500Z/x"):
            for call in (
                lambda path=path: writer.put(path, b"x", PLAIN),
                lambda path=path: writer.create(path, size=1, metadata=PLAIN),
                lambda path=path: writer.make_directory(path, PLAIN),
                lambda path=path: writer.remove(path),
                lambda path=path: writer.remove_directory(path),
            ):
                with pytest.raises(FileError, match=r"in the folder of backups. Exclude"):
                    call()
    assert tree(root) == {}


def _fails(code: int) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail
