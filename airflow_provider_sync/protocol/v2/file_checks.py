"""Check a server's messages about files before they are used: names, order, sizes and digests.

:mod:`.content_check` checks content. Names are checked only for what no server may list; whether a name can exist at the target
is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.printable import quoted
from airflow_provider_sync.protocol.v2.file_messages import (
    CHUNK_DIGEST_BYTES,
    FILE_DIGEST_BYTES,
    Chunked,
    Chunks,
    FileDigest,
    FileEntry,
    path_order,
)

MAX_PATH_BYTES = 4095
"""Maximum bytes of a path, or of a link's target."""

MAX_CHUNK_BYTES = (1 << 32) - 1
"""Maximum bytes of a chunk."""

_MAX_SHOWN = 300
_MAX_SIZE = 1 << 63
_MAX_MODE = 0o7777
# An empty, `.` or `..` component, or a NUL; an absolute path begins with an empty component.
_NO_PATH = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|\0")


def check_path(path: str) -> None:
    """Check that a path is relative and stays below its directory.

    :raises ProtocolError: when it is empty, absolute, has an empty, ``.`` or ``..`` component, a NUL, or more than 4,095 bytes
    """
    if _NO_PATH.search(path) or len(path) > MAX_PATH_BYTES or len(path.encode()) > MAX_PATH_BYTES:
        raise ProtocolError(f"The server names a file {_shown(path)}, which is not a path inside a directory. Check the URL.")


class EntryCheck:
    """Check the entries of one listing, message by message.

    Only the last path is kept, so ``same_as`` is only checked to sort earlier, not to have been listed.

    :param links: whether links may be listed as links
    :ivar unlisted_directories: number of directories that only the paths below them show; object stores list no others
    """

    def __init__(self, *, links: bool) -> None:
        self.unlisted_directories = 0
        self._links = links
        self._last = b""
        self._directory = b""  # that of the last path, as a prefix of keys
        self._last_path = ""
        self._no_directory = b"\0"  # no path begins with it

    def check(self, entries: Sequence[FileEntry]) -> None:
        """Check the next entries.

        :raises ProtocolError: for an impossible name, kind, size, time, mode, digest or order
        """
        last, no_directory, directory = self._last, self._no_directory, self._directory
        for entry in entries:
            path = entry.path
            if _NO_PATH.search(path):
                check_path(path)
            key = path.encode().replace(b"/", b"\0")
            if key <= last or len(key) > MAX_PATH_BYTES:
                raise self._misplaced(path)
            if key.startswith(no_directory):
                raise ProtocolError(
                    f"The server lists {_shown(path)} below {_shown(self._last_path)}, which is not a directory. Try again."
                )
            if not key.startswith(directory) or key.find(b"\0", len(directory)) >= 0:
                directory = self._directory_of(key, directory)
            if entry.kind == "file":
                is_valid = (
                    0 <= entry.size < _MAX_SIZE
                    and entry.link_target is None
                    and (entry.digest is None or len(entry.digest) == FILE_DIGEST_BYTES)
                    and (entry.same_as is None or _is_earlier(entry.same_as, key))
                )
                no_directory = key + b"\0"
            else:
                is_valid = entry.size == 0 and entry.digest is None and entry.same_as is None
                if entry.kind == "link":
                    is_valid = is_valid and self._links and _is_target(entry.link_target)
                    no_directory = key + b"\0"
                else:
                    is_valid = is_valid and entry.link_target is None
                    directory = key + b"\0"
            if not is_valid or not 0 <= entry.mode <= _MAX_MODE or not -_MAX_SIZE <= entry.mtime_ns < _MAX_SIZE:
                raise ProtocolError(
                    f"The server lists {_shown(path)} as {quoted(_described(entry), _MAX_SHOWN)}, which cannot be."
                    " Does it run the same version?"
                )
            last = key
            self._last_path = path
        self._last, self._no_directory, self._directory = last, no_directory, directory

    def _directory_of(self, key: bytes, before: bytes) -> bytes:
        """Return the directory of a path, and count those on the way to it that were not listed.

        :param before: the directory of the path before
        """
        directory = key[: key.rfind(b"\0") + 1]
        while not directory.startswith(before):
            before = before[: before.rfind(b"\0", 0, -1) + 1]
        self.unlisted_directories += directory.count(b"\0", len(before))
        return directory

    def _misplaced(self, path: str) -> ProtocolError:
        check_path(path)
        if path == self._last_path:
            return ProtocolError(f"The server lists {_shown(path)} twice. Does it run the same version?")
        return ProtocolError(
            f"The server lists {_shown(path)} after {_shown(self._last_path)}, which is not the order of paths."
            " Does it run the same version?"
        )


def check_file_digest(path: str, digest: FileDigest) -> None:
    """Check the digest of a file.

    :raises ProtocolError: for an impossible digest, size or time
    """
    if (
        (digest.digest is not None and len(digest.digest) != FILE_DIGEST_BYTES)
        or not 0 <= digest.size < _MAX_SIZE
        or not -_MAX_SIZE <= digest.mtime_ns < _MAX_SIZE
    ):
        raise ProtocolError(f"The server sent a digest of {_shown(path)} that cannot be one. Does it run the same version?")


class ChunksCheck:
    """Check the chunks of one file, message by message.

    :param path: path of the file, for error messages
    :ivar size: bytes of all chunks so far
    :ivar count: number of chunks so far
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.size = 0
        self.count = 0

    def check(self, chunks: Chunks) -> None:
        """Check the next chunks.

        :raises ProtocolError: for impossible lengths, and if there are not as many digests as lengths
        """
        self.size += sum(chunks.lengths)
        self.count += len(chunks.lengths)
        if (
            len(chunks.digests) != len(chunks.lengths) * CHUNK_DIGEST_BYTES
            or min(chunks.lengths, default=1) < 1
            or max(chunks.lengths, default=1) > MAX_CHUNK_BYTES
            or self.size >= _MAX_SIZE
        ):
            raise self._error("chunks that cannot be those of a file")

    def finish(self, end: Chunked) -> None:
        """Check the last message.

        :raises ProtocolError: when the chunks do not add up to the file's size
        """
        if end.size != self.size or len(end.digest) != FILE_DIGEST_BYTES or not -_MAX_SIZE <= end.mtime_ns < _MAX_SIZE:
            raise self._error(f"chunks of {self.size} bytes for a file of {end.size}")

    def _error(self, what: str) -> ProtocolError:
        return ProtocolError(f"The server sent {what}: {_shown(self._path)}. Does it run the same version?")


def _is_earlier(path: str, key: bytes) -> bool:
    check_path(path)
    return path_order(path) < key


def _is_target(target: str | None) -> bool:
    return bool(target) and "\0" not in target and len(target.encode()) <= MAX_PATH_BYTES  # type: ignore[operator,union-attr]


def _described(entry: FileEntry) -> str:
    fields = (f"{name}={value!r}" for name, value in zip(entry.__struct_fields__[1:], _values(entry), strict=True) if value)
    return ", ".join(fields)


def _values(entry: FileEntry) -> tuple[object, ...]:
    return (entry.kind, entry.size, entry.mtime_ns, entry.mode, entry.digest, entry.link_target, entry.same_as)


def _shown(path: str) -> str:
    return repr(path) if len(path) <= _MAX_SHOWN else f"{path[:_MAX_SHOWN]!r}…"
