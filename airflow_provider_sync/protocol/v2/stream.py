"""A stream of messages: how an answer of version 2 is framed, compressed, and ended.

::

    compressed as a whole, by the name in the media type
    ┌────────────┬──────────────────┬─────┬────────────┬─────────────────────────┐
    │ 4 bytes    │ msgpack          │  …  │ 4 bytes    │ msgpack                 │
    │ its length │ a message        │     │ its length │ End: rows, SHA-256      │
    └────────────┴──────────────────┴─────┴────────────┴─────────────────────────┘
    └──────── SHA-256 of all this ────────┘

Lengths are big-endian. ``Content-Encoding`` is not used, since proxies and HTTP libraries add and remove it. The compression is a
parameter of the media type instead: ``application/vnd.airflow-sync.v2; compression=zstd``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import msgspec

from airflow_provider_sync.exceptions import IncompleteStreamError, ProtocolError, ServerError, TableError
from airflow_provider_sync.printable import quoted
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS, compressor, decompress
from airflow_provider_sync.protocol.v2.messages import Described, End, Failure, Message, RowDigests, Rows, Segments

MEDIA_TYPE = "application/vnd.airflow-sync.v2"

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""Most bytes in one message; writers make them a few hundred KB, unless a single row is larger."""

MAX_FAILURE = 2_000
"""Most characters of the message of a :class:`.Failure`."""

_LENGTH_BYTES = 4
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def write_messages(
    messages: Iterable[Described | Segments | RowDigests | Rows],
    compression: str,
    *,
    explain: Callable[[Exception], Failure] | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> Iterator[bytes]:
    """Write messages and their :class:`.End` as one stream.

    The compressor is flushed after each message, so that the reader can decode it at once. Messages should therefore
    be large, and the caller must send each piece at once. A message without rows is a keep-alive: it keeps the reader's time
    limit from running out during a long scan.

    :param compression: ``zstd`` or ``gzip``
    :param explain: turns an error into the last message, once the stream has begun; without it, and before, the error is raised
    :raises TableError: for a message above ``max_message_bytes``, which takes a very large row
    """
    stream = compressor(compression)
    digest = hashlib.sha256()
    rows = 0
    begun = False
    try:
        for message in messages:
            frame = _frame(message, max_message_bytes)
            digest.update(frame)
            rows += _count(message)
            if block := stream.write(frame) + stream.flush():
                begun = True
                yield block
    except Exception as error:
        if explain is None or not begun:
            raise
        yield stream.write(_frame(explain(error), max_message_bytes)) + stream.finish()
        return
    yield stream.write(_frame(End(rows=rows, digest=digest.hexdigest()), max_message_bytes)) + stream.finish()


def read_messages(
    chunks: Iterable[bytes],
    compression: str,
    *,
    limit: int,
    option: str | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> Iterator[Described | Segments | RowDigests | Rows]:
    """Yield the messages of one stream. It is complete only if the iteration ends without an error.

    Only the types of the messages are checked, not their content.

    :param chunks: the body, cut anywhere
    :param limit: most bytes after inflation
    :param option: name of the option that sets the limit, for error messages
    :param max_message_bytes: most bytes of one message
    :raises IncompleteStreamError: when the stream is cut
    :raises ProtocolError: when the stream is invalid or damaged, is followed by anything, or exceeds ``limit``
    :raises GuardError: when it is larger than an ``option`` allows
    :raises ServerError: when the server says that it could not complete it
    """
    digest = hashlib.sha256()
    rows = count = 0
    ended = False
    for frame in _frames(decompress(chunks, compression, limit=limit, option=option), max_message_bytes):
        if ended:
            raise ProtocolError(f"Something follows the end of the stream, after {count} messages. Does a proxy change the body?")
        message = _decoded(frame, count + 1)
        if isinstance(message, Failure):
            status = message.status if 400 <= message.status < 600 else 500
            raise ServerError(quoted(message.message, MAX_FAILURE), status)
        if isinstance(message, End):
            ended = True
            if message.digest != digest.hexdigest():
                raise ProtocolError(f"The stream was damaged: its {count} messages are not those that were sent. Try again.")
            if message.rows != rows:
                raise ProtocolError(
                    f"The stream announces {message.rows} rows and brought {rows}. Is the server's version right?"
                )
            continue
        digest.update(frame)
        count += 1
        rows += _count(message)
        yield message
    if not ended:
        raise IncompleteStreamError(f"The stream ended after {count} messages, before its end. Try again.")


def media_type(compression: str) -> str:
    """Return the ``Content-Type`` of a stream."""
    return f"{MEDIA_TYPE}; compression={compression}"


def accept(compressions: Iterable[str] = COMPRESSIONS) -> str:
    """Return the ``Accept`` header of a client that reads these compressions, the best first."""
    return ", ".join(map(media_type, compressions))


def choose_compression(accept: str) -> str:
    """Return the best compression that an ``Accept`` header names; ``gzip`` if it names no known one.

    :param accept: as ``application/vnd.airflow-sync.v2; compression=zstd, application/vnd.airflow-sync.v2; compression=gzip``
    """
    named = {_parameters(entry).get("compression") for entry in accept.split(",") if _parameters(entry).get("q") != "0"}
    return next((compression for compression in COMPRESSIONS if compression in named), "gzip")


def parse_media_type(content_type: str) -> str:
    """Return the compression of a stream from its ``Content-Type``.

    :raises ProtocolError: when it is not a stream of this version, or its compression is unknown
    """
    parameters = _parameters(content_type)
    compression = parameters.get("compression", "")
    if not parameters or compression not in COMPRESSIONS:
        shown = quoted(content_type, 100)
        raise ProtocolError(f"The answer is {shown!r}, not a stream of version 2 that can be read here. Check the URL.")
    return compression


def _parameters(content_type: str) -> dict[str, str]:
    """Return the parameters of this version's media type; nothing for any other."""
    kind, *parameters = content_type.split(";")
    if kind.strip().lower() != MEDIA_TYPE:
        return {}
    pairs = (parameter.partition("=") for parameter in parameters)
    return {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in pairs}


def _frame(message: Message, max_message_bytes: int) -> bytearray:
    frame = bytearray(_LENGTH_BYTES)
    _encoder.encode_into(message, frame, _LENGTH_BYTES)
    size = len(frame) - _LENGTH_BYTES
    if size > max_message_bytes:
        raise TableError(
            f"{_count(message)} rows make a message of {size} bytes, and {max_message_bytes} are allowed."
            " Leave out the largest column."
        )
    frame[:_LENGTH_BYTES] = size.to_bytes(_LENGTH_BYTES, "big")
    return frame


def _frames(blocks: Iterable[bytes], max_message_bytes: int) -> Iterator[memoryview]:
    """Cut blocks into frames, each with its length before it; a frame is valid until the next one is requested."""
    waiting = bytearray()
    size: int | None = None
    for block in blocks:
        waiting += block
        while True:
            if size is None:
                if len(waiting) < _LENGTH_BYTES:
                    break
                size = int.from_bytes(waiting[:_LENGTH_BYTES], "big")
                if size > max_message_bytes:
                    raise ProtocolError(
                        f"A message of {size} bytes is announced, and {max_message_bytes} are allowed."
                        " Is the stream damaged, or a single row that large?"
                    )
            if len(waiting) < _LENGTH_BYTES + size:
                break
            # Not copied: a row may have a hundred megabytes.
            with memoryview(waiting) as view, view[: _LENGTH_BYTES + size] as frame:
                yield frame
            del waiting[: _LENGTH_BYTES + size]
            size = None
    if waiting:
        raise IncompleteStreamError(f"The stream ended in the middle of a message, after {len(waiting)} bytes of it. Try again.")


def _decoded(frame: memoryview, position: int) -> Message:
    try:
        message: Message = _decoder.decode(frame[_LENGTH_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"Message {position} cannot be read: {error}. Is the server's version right?") from error
    return message


def _count(message: Message) -> int:
    """Return the number of rows that a message describes."""
    match message:
        case RowDigests() | Rows():
            return message.count
        case Segments():
            return sum(message.counts)
        case _:
            return 0
