"""Compute the BLAKE3 digest of a file, which protocol version 2 compares."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.storage import VersionedFile

_BLOCK_BYTES = 1024 * 1024


def digest_file(opened: VersionedFile, location: str, *, check: Callable[[], None] = lambda: None) -> bytes:
    """Digest a file from its current position to its end.

    :param location: the root of its directory, for messages
    :param check: called before each block; raises to stop, since a file may have hundreds of gigabytes
    :return: the digest of the version that :attr:`~.VersionedFile.entry` describes
    :raises FileChangedError: when it changed while it was read
    :raises FileError: when it cannot be read
    """
    entry, file = opened.entry, opened.file
    try:
        digest = blake3()
        # One byte more than the expected size, to detect that the file grew.
        buffer = bytearray(min(_BLOCK_BYTES, entry.size + 1))
        size = 0
        check()
        with memoryview(buffer) as view:
            while size <= entry.size and (count := file.readinto(buffer)) > 0:  # type: ignore[attr-defined]  # unbuffered files have it
                digest.update(view[:count])
                size += count
                check()
        unchanged = size == entry.size and opened.is_unchanged()
    except OSError as error:
        raise file_error("read", entry.path, location, error) from error
    if not unchanged:
        raise FileChangedError(f"{entry.path!r} in {location} changed while it was read. Try again when nobody writes to it.")
    return digest.digest()
