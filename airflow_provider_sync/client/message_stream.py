"""The base of all answers of version 2: streams of messages, whose media type names the compression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from types import TracebackType
from typing import Any

import msgspec

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.open_answer import OpenAnswer
from airflow_provider_sync.exceptions import DamagedStreamError, IncompleteStreamError, ProtocolError, SyncError
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.stream import MEDIA_TYPE, Messages, parse_media_type


class MessageStream(OpenAnswer):
    """An open answer that is a stream of messages.

    :param body: the answer
    :param subject: what was asked for, for messages: ``Table 'orders'``
    :param compressions: the compressions that the answer may have
    :ivar compression: the compression that it has
    :raises ProtocolError: for an answer that is no such stream
    """

    _doubtful: tuple[type[SyncError], ...] = (ProtocolError,)
    """Errors of the ``with`` block that damaged content may have caused, unless they are transient."""

    def __init__(self, body: Body, subject: str, *, compressions: Sequence[str] = COMPRESSIONS) -> None:
        super().__init__(body, subject, media_type=MEDIA_TYPE)
        self._messages: Messages[Any] = _no_messages()
        with self._with_subject():
            self.compression = parse_media_type(body.response.headers["Content-Type"], compressions)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the answer; before an error about its content, such as a key, find out whether that is what the server sent."""
        try:
            if isinstance(error, self._doubtful) and not error.retryable:
                self._check_sent(error)
        finally:
            super().__exit__(kind, error, trace)

    def _check_sent(self, wrong: SyncError) -> None:
        """Read the stream to its end, and raise an error if it was damaged, so that the request may be repeated."""
        if getgeneratorstate(self._messages) == GEN_RUNNING:
            return  # another thread reads it
        try:
            self._messages.throw(wrong)
        except DamagedStreamError as damaged:
            raise damaged.with_subject(self._subject) from wrong
        except self._doubtful:
            return  # the same: the server has sent it

    @contextmanager
    def _with_subject(self) -> Iterator[None]:
        """Add the subject to errors; before an error about a message, find out whether that is what the server sent."""
        with super()._with_subject():
            try:
                yield
            except IncompleteStreamError:
                raise
            except ProtocolError as error:
                self._messages.throw(error)
                raise


def _no_messages() -> Messages[Any]:
    yield from ()


def unexpected(message: msgspec.Struct | None, expected: str) -> ProtocolError:
    """Return the error for a message that has no place in a stream.

    :param message: ``None`` if the stream ended
    """
    received = "nothing" if message is None else f"a message {type(message).__struct_config__.tag!r}"
    return ProtocolError(f"The server sent {received} instead of {expected}. Does it run the same version?")
