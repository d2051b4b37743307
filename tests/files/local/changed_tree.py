"""A directory, and every way in which a sync changes it, for tests of what comes of it."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.local.writing import LONG_AGO, PLAIN


def old_tree(root: Path) -> LocalStorage:
    """Put some files into a directory."""
    for name in ("same", "changed", "removed", "touched", "dir/same"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"old")
        os.utime(root / name, ns=(LONG_AGO, LONG_AGO))
    (root / "link").symlink_to("same")
    return LocalStorage(root)


def change(storage: LocalStorage) -> None:
    """Change a tree in each way that a sync knows."""
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put("changed", b"new", PLAIN)
        writer.put("sub/new", b"new", PLAIN)
        writer.copy("dir/copy", "same", PLAIN, move=True)
        touched = writer.set_metadata("touched", Metadata(LONG_AGO + 1, 0o600))
        # A file that both trees share is replaced, and has its entry by the commit.
        assert "touched" in {entry.path for entry in ([touched] if touched else writer.commit())}
        writer.remove("removed")


CHANGED = {
    "same": b"old",
    "changed": b"new",
    "touched": b"old",
    "dir": None,
    "dir/same": b"old",
    "dir/copy": b"old",
    "sub": None,
    "sub/new": b"new",
    "link": b"-> same",
}
