"""Write and read a stream of messages: frame, compress and end an answer of version 2.

::

    compressed as a whole, by the name in the media type
    ┌────────────┬──────────────────┬─────┬────────────┬─────────────────────────┐
    │ 4 bytes    │ msgpack          │  …  │ 4 bytes    │ msgpack                 │
    │ its length │ a message        │     │ its length │ End: rows, SHA-256      │
    └────────────┴──────────────────┴─────┴────────────┴─────────────────────────┘
    └──────── SHA-256 of all this ────────┘

The SHA-256 leaves out the ``data`` of :class:`~.file_messages.Content`, which has its own digest.

Lengths are big-endian. ``Content-Encoding`` is not used, since proxies and HTTP libraries add and remove it. The compression is a
parameter of the media type instead: ``application/vnd.airflow-sync.v2; compression=zstd``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import msgspec

from airflow_provider_sync.exceptions import (
    DamagedStreamError,
    GuardError,
    IncompleteStreamError,
    ProtocolError,
    ServerError,
    SyncError,
    TableError,
    TransportError,
)
from airflow_provider_sync.printable import quoted, reason
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS, compressor, decompress
from airflow_provider_sync.protocol.v2.file_messages import FileMessage
from airflow_provider_sync.protocol.v2.framing import LENGTH_BYTES, FramedContent, frame_of, head_of
from airflow_provider_sync.protocol.v2.message_sets import FILE_MESSAGES, TABLE_MESSAGES, M, MessageSet, TableMessage
from airflow_provider_sync.protocol.v2.messages import End, Failure
from airflow_provider_sync.protocol.v2.text_limit import check_text

MEDIA_TYPE = "application/vnd.airflow-sync.v2"

MAX_EMPTY = 10_000
"""Maximum empty messages in a row; a server that sends one every 15 seconds would have sent nothing else for days."""

MAX_FAILURE = 2_000
"""Maximum characters of the message of a :class:`.Failure`."""

_MAX_REST = 100_000
"""Most messages that are read after a wrong one: a server may send without end."""

_MAX_REST_BYTES = 512 * 1024 * 1024
"""Most bytes of these messages: far more than those of real servers have, and a few seconds of work."""

_MAX_REST_SECONDS = 30.0
"""Longest time for reading these messages."""

Block = bytes | bytearray | memoryview

Messages = Generator[M, None, None]
"""The messages of a stream."""

Explain = Callable[[Exception], Failure]
"""Converts an error to the last message of a stream that has begun."""


def write_messages(messages: Iterable[TableMessage], compression: str, *, explain: Explain | None = None) -> Iterator[Block]:
    """Write messages about tables and their :class:`.End` as one stream.

    The compressor is flushed after each message, so that the reader can decode it at once. Messages should therefore
    be large, and the caller must send each piece at once. A message without rows is a keep-alive, which prevents the reader's
    timeout during a long scan.

    :param compression: ``zstd`` or ``gzip``
    :param explain: converts an error to the last message; without it, or before the stream has begun, the error is raised
    :raises TableError: for a message above :attr:`.MessageSet.max_bytes`, which only a very large row can cause
    """
    return _write(((message,) for message in messages), compression, TABLE_MESSAGES, explain)


def write_message_groups(
    groups: Iterable[Sequence[TableMessage]], compression: str, *, explain: Explain | None = None
) -> Iterator[Block]:
    """Write messages about tables, one piece per group, since messages about small tables are too small to be sent one by one.

    See :func:`write_messages`.
    """
    return _write(groups, compression, TABLE_MESSAGES, explain)


def write_file_messages(
    groups: Iterable[Sequence[FileMessage | FramedContent]], compression: str, *, explain: Explain | None = None
) -> Iterator[Block]:
    """Write messages about files, one piece per group, since messages about small files are too small to be sent one by one.

    See :func:`write_messages`.

    :param compression: ``zstd``, ``gzip``, or ``none``
    :raises FileError: for a message above :attr:`.MessageSet.max_bytes`
    """
    return _write(groups, compression, FILE_MESSAGES, explain)


def _write(
    groups: Iterable[Sequence[M | FramedContent]], compression: str, kinds: MessageSet[M], explain: Explain | None
) -> Iterator[Block]:
    stream = compressor(compression)
    digest = hashlib.sha256()
    count = 0
    begun = False
    try:
        for group in groups:
            blocks: list[Block] = []
            for message in group:
                if isinstance(message, FramedContent):
                    digest.update(message.heads)
                    blocks.append(stream.write(message.data))
                    continue
                data = kinds.content(message)
                framed = head_of(msgspec.structs.replace(message, data=b""), len(data)) if data else frame_of(message)
                size = len(framed) + len(data) - LENGTH_BYTES
                if size > kinds.max_bytes:
                    raise _too_large(message, kinds, size)
                digest.update(framed)
                count += kinds.count(message)
                blocks.append(stream.write(framed))
                if data:
                    blocks.append(stream.write(data))
            blocks.append(stream.flush())
            if piece := _joined(blocks):
                begun = True
                yield piece
    except Exception as error:
        if explain is None or not begun:
            raise
        yield b"".join((stream.write(frame_of(explain(error))), stream.finish()))
        return
    yield b"".join((stream.write(frame_of(End(rows=count, digest=digest.hexdigest()))), stream.finish()))


def read_messages(chunks: Iterable[bytes], compression: str, *, limit: int, option: str | None = None) -> Messages[TableMessage]:
    """Yield the messages of one stream about tables. The stream is complete only if the iteration ends without an error.

    Only the types of the messages are checked, not their content. A caller that finds a message wrong throws its
    :class:`.ProtocolError`, or the :class:`.TableError` of a row that cannot be stored, into the generator, which then raises
    :class:`.DamagedStreamError` if the message was damaged on its way, and otherwise the error itself.

    :param chunks: the body, in chunks of any size
    :param limit: maximum bytes after decompression
    :param option: name of the option that sets the limit, for error messages
    :raises IncompleteStreamError: when the stream is cut
    :raises ProtocolError: when the stream is invalid or damaged, is followed by more bytes, or exceeds ``limit``
    :raises GuardError: when the stream is larger than an ``option`` allows
    :raises ServerError: when the stream ends with a :class:`.Failure`
    """
    return _read(decompress(chunks, compression, limit=limit, option=option), TABLE_MESSAGES)


def read_file_messages(
    chunks: Iterable[bytes], compression: str, *, limit: int, option: str | None = None
) -> Messages[FileMessage]:
    """Yield the messages of one stream about files; see :func:`read_messages`.

    :class:`.ContentCheck` checks the ``data`` of :class:`~.file_messages.Content`; it is not checked here.
    """
    return _read(decompress(chunks, compression, limit=limit, option=option), FILE_MESSAGES)


def _read(blocks: Iterable[bytes], kinds: MessageSet[M]) -> Messages[M]:
    digest = hashlib.sha256()
    items = count = empty = 0
    ended = False
    frames = _frames(blocks, kinds.max_bytes)
    for frame in frames:
        if ended:
            raise ProtocolError(f"Something follows the end of the stream, after {count} messages. Does a proxy change the body?")
        try:
            message = _decoded(frame, kinds, count + 1)
        except DamagedStreamError:
            raise
        except ProtocolError as error:
            digest.update(frame)
            _check_undamaged(error, frames, kinds, digest)
            raise
        if isinstance(message, Failure):
            status = message.status if 400 <= message.status < 600 else 500
            raise ServerError(quoted(message.message, MAX_FAILURE), status, of_table=message.of_table)
        if isinstance(message, End):
            ended = True
            if message.digest != digest.hexdigest():
                raise _damaged(count)
            if message.rows != items:
                raise ProtocolError(
                    f"The stream announces {message.rows} {kinds.items} and brought {items}. Is the server's version right?"
                )
            continue
        digest.update(frame[: len(frame) - len(kinds.content(message))])
        count += 1
        items += kinds.count(message)
        empty = empty + 1 if kinds.is_empty(message) else 0
        if empty > MAX_EMPTY:
            raise ProtocolError(
                f"The stream has {empty} messages in a row without anything in them. Is the server's version right?"
            )
        try:
            yield message
        except (ProtocolError, TableError) as error:
            _check_undamaged(error, frames, kinds, digest)
            raise
    if not ended:
        raise IncompleteStreamError(f"The stream ended after {count} messages, before its end. Try again.")


def _check_undamaged(wrong: SyncError, frames: Iterator[memoryview], kinds: MessageSet[M], digest: hashlib._Hash) -> None:
    """Read the rest of a stream after a wrong message, up to the digest, which tells whether the server sent that message.

    A rest that is cut, has no valid lengths, or is longer than :data:`_MAX_REST`, :data:`_MAX_REST_BYTES` or
    :data:`_MAX_REST_SECONDS` allow tells nothing.

    :param digest: of all messages so far
    :raises DamagedStreamError: if the stream was damaged, so that the request may be repeated
    """
    read = 0
    until = time.monotonic() + _MAX_REST_SECONDS
    for position in range(1, _MAX_REST + 1):
        try:
            frame = next(frames, None)
        except DamagedStreamError as error:
            raise error from wrong
        except (GuardError, ProtocolError, TransportError):
            return
        if frame is None or read > _MAX_REST_BYTES or time.monotonic() >= until:
            return
        read += len(frame)
        content: Block = b""
        try:
            message = _decoded(frame, kinds, position)
        except DamagedStreamError as error:
            raise error from wrong
        except ProtocolError:
            pass  # one more that is no message
        else:
            if isinstance(message, Failure):
                return
            if isinstance(message, End):
                if message.digest != digest.hexdigest():
                    raise _damaged(position) from wrong
                return
            content = kinds.content(message)
        digest.update(frame[: len(frame) - len(content)])


def _damaged(count: int) -> DamagedStreamError:
    return DamagedStreamError(f"The stream was damaged: its {count} messages are not those that were sent. Try again.")


def media_type(compression: str) -> str:
    """Return the ``Content-Type`` of a stream."""
    return f"{MEDIA_TYPE}; compression={compression}"


def accept(compressions: Iterable[str] = COMPRESSIONS) -> str:
    """Return the ``Accept`` header of a client that supports these compressions, the best first."""
    return ", ".join(map(media_type, compressions))


def choose_compression(accept: str, supported: Sequence[str] = COMPRESSIONS) -> str:
    """Return the best compression that an ``Accept`` header names; ``gzip`` if it names no known one.

    :param supported: the compressions that the answer may use, the best first
    :param accept: e.g. ``application/vnd.airflow-sync.v2; compression=zstd, application/vnd.airflow-sync.v2; compression=gzip``
    """
    named = {_parameters(entry).get("compression") for entry in accept.split(",") if _parameters(entry).get("q") != "0"}
    return next((compression for compression in supported if compression in named), "gzip")


def parse_media_type(content_type: str, supported: Sequence[str] = COMPRESSIONS) -> str:
    """Return the compression of a stream from its ``Content-Type``.

    :param supported: the compressions that the answer may use
    :raises ProtocolError: when the media type is not that of a version 2 stream, or its compression is not supported
    """
    parameters = _parameters(content_type)
    compression = parameters.get("compression", "")
    if not parameters or compression not in supported:
        shown = quoted(content_type, 100)
        raise ProtocolError(f"The answer is {shown!r}, not a stream of version 2 that can be read here. Check the URL.")
    return compression


def _parameters(content_type: str) -> dict[str, str]:
    """Return the parameters of version 2's media type; empty for any other media type."""
    kind, *parameters = content_type.split(";")
    if kind.strip().lower() != MEDIA_TYPE:
        return {}
    pairs = (parameter.partition("=") for parameter in parameters)
    return {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in pairs}


def _joined(blocks: list[Block]) -> Block:
    """Join blocks; return a single block without copying it."""
    some = [block for block in blocks if block]
    return some[0] if len(some) == 1 else b"".join(some)


def _too_large(message: M, kinds: MessageSet[M], size: int) -> SyncError:
    return kinds.too_large(
        f"{kinds.count(message)} {kinds.items} make a message of {size} bytes, and {kinds.max_bytes} are allowed. {kinds.advice}"
    )


def _frames(blocks: Iterable[bytes], max_message_bytes: int) -> Iterator[memoryview]:
    """Split blocks into frames, each with its length before it; copy only frames that cross from one block to the next."""
    begun = bytearray()
    for block in blocks:
        view = memoryview(block)
        at = 0
        while at < len(view):
            if begun or (end := _end(view, at, max_message_bytes)) > len(view):
                at += _continue(begun, view[at:], max_message_bytes)
                if len(begun) >= LENGTH_BYTES and len(begun) == _end(begun, 0, max_message_bytes):
                    yield memoryview(begun)
                    begun = bytearray()
            else:
                yield view[at:end]
                at = end
    if begun:
        raise IncompleteStreamError(f"The stream ended in the middle of a message, after {len(begun)} bytes of it. Try again.")


def _continue(begun: bytearray, view: memoryview, max_message_bytes: int) -> int:
    """Append to an incomplete frame the bytes that belong to it, and return their number."""
    taken = 0
    if len(begun) < LENGTH_BYTES:
        taken = min(LENGTH_BYTES - len(begun), len(view))
        begun += view[:taken]
    if len(begun) >= LENGTH_BYTES:
        more = min(_end(begun, 0, max_message_bytes) - len(begun), len(view) - taken)
        begun += view[taken : taken + more]
        taken += more
    return taken


def _end(data: memoryview | bytearray, at: int, max_message_bytes: int) -> int:
    """Return the end of the frame that begins at ``at``; beyond the data if its length field is not complete."""
    if len(data) - at < LENGTH_BYTES:
        return len(data) + 1
    size = int.from_bytes(data[at : at + LENGTH_BYTES], "big")
    if size > max_message_bytes:
        raise ProtocolError(
            f"A message of {size} bytes is announced, and {max_message_bytes} are allowed."
            " Is the stream damaged, or a single row that large?"
        )
    return at + LENGTH_BYTES + size


def _decoded(frame: memoryview, kinds: MessageSet[M], position: int) -> M | End | Failure:
    check_text(frame[LENGTH_BYTES:], position)
    try:
        message: M | End | Failure = kinds.decoder.decode(frame[LENGTH_BYTES:])
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"Message {position} cannot be read: {reason(error)}. Is the server's version right?") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # No version of a server sends that.
        raise DamagedStreamError(
            f"Message {position} cannot be read: {reason(error)}. It was damaged on its way. Try again."
        ) from error
    return message
