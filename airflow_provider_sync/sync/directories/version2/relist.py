"""List files again that changed since the source listed them, or find out why they cannot be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.v2.file_messages import FileEntry
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.directories.problems import is_below
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory


@dataclass(frozen=True, slots=True)
class Relisted:
    """The current state of some files of the source.

    :ivar entries: files that can be fetched, by path
    :ivar unreadable: files that the source cannot read, with reasons
    :ivar gone: files that the source no longer has
    """

    entries: dict[str, FileEntry] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


def relist(source: SourceDirectory, paths: Sequence[str]) -> Relisted:
    """Request the current state of files; a source that does not digest files lists its directory again."""
    return repeated(source.client, lambda: _digest(source, paths)) or repeated(source.client, lambda: _list(source, paths))


def _digest(source: SourceDirectory, paths: Sequence[str]) -> Relisted | None:
    """Return the state of files from a request for their digests; ``None`` if the source does not digest files."""
    now, answered = Relisted(), False
    with source.digest_files(paths) as answer:
        for path, digest in answer:
            answered = True
            if digest.digest is not None or digest.is_unstable:
                now.entries[path] = FileEntry(path, "file", digest.size, digest.mtime_ns, 0, digest.digest)
            elif digest.problem:
                now.unreadable[path] = printable(digest.problem)
            else:
                now.gone.add(path)
    return now if answered else None


def _list(source: SourceDirectory, paths: Sequence[str]) -> Relisted:
    now = Relisted(gone=set(paths))
    with source.list_files() as answer:
        for entries in answer:
            now.entries.update((entry.path, entry) for entry in entries if entry.kind == "file" and entry.path in now.gone)
    now.gone.difference_update(now.entries)
    for name, reason in answer.unreadable.items():
        # Files in a directory that cannot be listed may still exist.
        now.unreadable.update((path, reason) for path in now.gone if path == name or is_below(path, [name]))
    now.gone.difference_update(now.unreadable)
    return now
