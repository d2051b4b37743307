"""Requests and answers of version 2 about directories: requests are JSON, answers are streams of the messages below.

Paths are relative to the directory, or to a folder of it, with ``/`` between components. They are sorted by their components
(:func:`path_order`), so that two listings can be compared as streams. Digests of files are BLAKE3. :mod:`.stream` frames,
compresses and ends a stream of messages.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

FILE_DIGEST = "blake3"
"""Name of the digest of a file's content."""

FILE_DIGEST_BYTES = 32

CHUNK_DIGEST_BYTES = 16
"""Bytes of a chunk's digest: enough to find a chunk; the full digest checks the file as a whole."""

CHUNKING = "fastcdc-64k"
"""Name of the scheme that cuts large files into chunks; see ``docs/reference/protocol-v2.md``."""

MAX_ENTRIES = 4_096
"""Maximum entries, or digests, in one message."""

MAX_PATHS = 100_000
"""Maximum paths in one request."""

MAX_RANGES = 100_000
"""Maximum byte ranges in one request."""

MAX_CONTENT_BYTES = 1024 * 1024
"""Maximum bytes of content in one message, after decompression."""

UNSTABLE_FILE_STATUS = 409
"""HTTP status for a file that changes while its chunks are read."""

MAX_CHUNKS = 4_096
"""Maximum chunks in one message."""

Kind = Literal["file", "directory", "link"]
Links = Literal["skip", "keep", "follow"]


def path_order(path: str) -> bytes:
    """Return the sort key of a path, which sorts by component, and each component by its UTF-8 bytes."""
    return path.encode().replace(b"/", b"\0")


class ListFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``listFiles``: every file, directory and link.

    :ivar directory: the name under which the server offers the directory
    :ivar folder: list only what is below this folder, with paths relative to it; ``None`` for the whole directory
    :ivar links: whether to leave symbolic links out, list them as links, or list the files that they lead to, which must be in
        the directory
    :ivar state: the :attr:`Listed.state` of the client's last listing; if nothing changed, the answer is :class:`Unchanged`
    """

    directory: str
    folder: str | None = None
    links: Links = "skip"
    state: str | None = None


class DigestFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``digestFiles``: the digests of these files; the server reads those that its cache does not know.

    :ivar always: read every file, even if its digest is cached
    """

    directory: str
    paths: tuple[str, ...]
    folder: str | None = None
    links: Links = "skip"
    always: bool = False


class RequestedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file of :class:`ReadFiles`.

    :ivar size: bytes that the file must still have, as listed
    :ivar mtime_ns: modification time that the file must still have, as listed
    :ivar ranges: offset and length of the byte ranges to send; ``None`` for the whole file
    """

    path: str
    size: int
    mtime_ns: int
    ranges: tuple[tuple[int, int], ...] | None = None


class ReadFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``readFiles``: the content of these files, in this order."""

    directory: str
    files: tuple[RequestedFile, ...]
    folder: str | None = None
    links: Links = "skip"


class ChunkFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Request of ``chunkFile``: the chunks of one large file."""

    directory: str
    path: str
    folder: str | None = None
    links: Links = "skip"
    chunking: str = CHUNKING


class FileEntry(msgspec.Struct, frozen=True, array_like=True):
    """One file, directory or link.

    :ivar size: bytes; 0 for directories and links
    :ivar mtime_ns: modification time in nanoseconds since the epoch; 0 if the storage has none
    :ivar mode: permission bits
    :ivar digest: digest of a file's content, if the server knows it without reading the file
    :ivar link_target: target of a symbolic link, as stored
    :ivar same_as: path of an earlier entry that is the same file (a hard link)
    """

    path: str
    kind: Kind
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    digest: bytes | None = None
    link_target: str | None = None
    same_as: str | None = None


class Unchanged(msgspec.Struct, frozen=True, kw_only=True, tag="unchanged"):
    """The only message of ``listFiles`` if the directory still has the state that the client sent."""


class Entries(msgspec.Struct, frozen=True, kw_only=True, tag="entries"):
    """Entries of a listing, sorted by :func:`path_order`."""

    entries: Annotated[tuple[FileEntry, ...], msgspec.Meta(max_length=MAX_ENTRIES)]


class UnreadableFiles(msgspec.Struct, frozen=True, kw_only=True, tag="unreadable"):
    """Paths that the server could not list, with the reasons; the path of a directory ends with ``/``."""

    reasons: Annotated[dict[str, str], msgspec.Meta(max_length=MAX_ENTRIES)]


class Listed(msgspec.Struct, frozen=True, kw_only=True, tag="listed"):
    """The end of a listing.

    :ivar state: identifies what was listed; ``None`` if a file was written so recently that a later change could be missed
    :ivar links_skipped: number of symbolic links that were left out
    """

    state: str | None = None
    links_skipped: int = 0


class FileDigest(msgspec.Struct, frozen=True, array_like=True):
    """The digest of one file.

    :ivar digest: ``None`` if the file is gone, cannot be read, or changed each time that it was read
    :ivar size: bytes that were read
    :ivar mtime_ns: modification time in nanoseconds
    :ivar problem: why it could not be read; empty if it is gone
    """

    digest: bytes | None
    size: int = 0
    mtime_ns: int = 0
    problem: str = ""

    @property
    def is_unstable(self) -> bool:
        """Whether the file changed each time that it was read; size and time are then those of one of its versions."""
        return self.digest is None and bool(self.problem) and bool(self.size or self.mtime_ns)


class FileDigests(msgspec.Struct, frozen=True, kw_only=True, tag="file_digests"):
    """Digests, in the order of the request; an empty message is a keep-alive."""

    digests: Annotated[tuple[FileDigest, ...], msgspec.Meta(max_length=MAX_ENTRIES)]


class ContentEnd(msgspec.Struct, frozen=True, array_like=True):
    """The end of a file's content.

    :ivar digest: digest of all bytes of the file that were sent
    :ivar mode: permission bits
    """

    digest: bytes
    mode: int = 0


class Content(msgspec.Struct, frozen=True, kw_only=True, tag="content"):
    """A piece of a file's content; a small file is one message.

    :ivar number: number of the file in the request, from 0; ascending
    :ivar inflated: bytes after decompression, if ``data`` is a zstd frame; 0 if ``data`` is the content itself
    :ivar end: only with the last piece of a file
    :ivar data: must stay the last field: the digest of the stream leaves it out, since ``end`` covers it. A reader gets a view of
        the received bytes, since a copy would cost more than all other work on a block
    """

    number: int
    inflated: int = 0
    end: ContentEnd | None = None
    data: memoryview = memoryview(b"")

    def __post_init__(self) -> None:
        if isinstance(self.data, memoryview):
            # Before msgspec 0.20, a decoded memoryview has a wrong length until it is cast.
            msgspec.structs.force_setattr(self, "data", self.data.cast("B"))


class ContentFailed(msgspec.Struct, frozen=True, kw_only=True, tag="content_failed"):
    """A file that could not be sent, or not completely.

    :ivar reason: ``gone``, ``changed`` (it is not the requested version, or changed while it was read), or ``unreadable``
    :ivar message: what happened and what to do
    """

    number: int
    reason: Literal["gone", "changed", "unreadable"]
    message: str


class Chunks(msgspec.Struct, frozen=True, kw_only=True, tag="chunks"):
    """The next chunks of a file, from its start.

    :ivar lengths: bytes of each chunk
    :ivar digests: the first :data:`CHUNK_DIGEST_BYTES` bytes of each chunk's BLAKE3, joined
    """

    lengths: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_CHUNKS)]
    digests: bytes


class Chunked(msgspec.Struct, frozen=True, kw_only=True, tag="chunked"):
    """The end of a file's chunks.

    :ivar size: bytes of the file
    :ivar mtime_ns: modification time in nanoseconds
    :ivar digest: digest of the whole file
    """

    size: int
    mtime_ns: int
    digest: bytes


FileMessage = Unchanged | Entries | UnreadableFiles | Listed | FileDigests | Content | ContentFailed | Chunks | Chunked
"""The messages of the streams that answer these requests, besides the last one."""
