"""An atomic sync does not make the next one read everything again."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.local import carried_digests
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.local.writing import LONG_AGO


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """A directory with some files."""
    for name in ("a", "dir/b", "dir/c", "dir.d", "gone", "edited"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(name.encode())
        os.utime(root / name, ns=(LONG_AGO, LONG_AGO))
    return LocalStorage(root)


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("fails", [False, True])
def test_digests_are_carried(
    storage: LocalStorage, root: Path, tmp_path: Path, batch: int, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache keeps the digests of unchanged files, whether the sync succeeds or not."""
    monkeypatch.setattr(carried_digests, "_BATCH", batch)
    with DigestCache(str(tmp_path / "cache.sqlite")) as cache:
        digests = cache.root(storage.location)
        digests.record(
            replace(entry, digest=entry.path.encode().ljust(32))
            for entry in storage.walk()
            if entry.kind == "file" and entry.path != "dir/c"
        )
        with suppress(ZeroDivisionError), storage.exclusive(0), storage.atomic_copy(digests=digests) as copy:
            with copy.writer(may_replace=lambda path: False) as writer:
                writer.put("dir.d", b"new", Metadata(LONG_AGO + 1))
                writer.remove("gone")
            (copy.root / "edited").write_bytes(b"by somebody")
            if fails:
                raise ZeroDivisionError
        known = {entry.path: entry.digest for entry in digests.known(storage.walk()) if entry.kind == "file"}
    assert known == {
        "a": b"a".ljust(32),
        "dir/b": b"dir/b".ljust(32),
        "dir/c": None,
        "dir.d": b"dir.d".ljust(32) if fails else None,
        "edited": None,
        **({"gone": b"gone".ljust(32)} if fails else {}),
    }


def test_names_that_are_no_text(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    """Files with undecodable names move along, without digests."""
    names = [os.fsdecode(b"caf\xe9"), os.fsdecode(b"dir/\xff/x"), "dir/\u00e9"]
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
        os.utime(root / name, ns=(LONG_AGO, LONG_AGO))

    def entries() -> list[TreeEntry]:
        return [entry for entry in storage.walk(on_unreadable=lambda *_: None) if entry.path == names[2]]

    with DigestCache(str(tmp_path / "cache.sqlite")) as cache:
        digests = cache.root(storage.location)
        digests.record(replace(entry, digest=b"x".ljust(32)) for entry in entries())
        with storage.exclusive(0), storage.atomic_copy(digests=digests):
            pass
        assert [entry.digest for entry in digests.known(entries())] == [b"x".ljust(32)]
    assert all((root / name).read_bytes() == b"x" for name in names)


def test_without_a_cache(storage: LocalStorage) -> None:
    """Without a cache, or with an empty one, no digest is carried."""
    with DigestCache(None) as cache:
        for digests in (None, cache.root(storage.location)):
            with storage.exclusive(0), storage.atomic_copy(digests=digests):
                pass
