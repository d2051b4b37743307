"""The base of all answers of version 2: streams of messages, whose media type names the compression."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.open_answer import OpenAnswer
from airflow_provider_sync.exceptions import (
    DamagedStreamError,
    GuardError,
    IncompleteStreamError,
    ProtocolError,
    ServerError,
    TransportError,
)
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.stream import MEDIA_TYPE, parse_media_type

_MAX_REST_SECONDS = 30.0
"""Longest time for reading the rest of a stream with a wrong message: a server may send without end."""


class MessageStream(OpenAnswer):
    """An open answer that is a stream of messages.

    :param body: the answer
    :param subject: what was asked for, for messages: ``Table 'orders'``
    :param compressions: the compressions that the answer may have
    :ivar compression: the compression that it has
    :raises ProtocolError: for an answer that is no such stream
    """

    def __init__(self, body: Body, subject: str, *, compressions: Sequence[str] = COMPRESSIONS) -> None:
        super().__init__(body, subject, media_type=MEDIA_TYPE)
        self._messages: Iterator[Any] = iter(())
        with self._with_subject():
            self.compression = parse_media_type(body.response.headers["Content-Type"], compressions)

    @contextmanager
    def _with_subject(self) -> Iterator[None]:
        """Add the subject to errors; before an error about a message, find out whether that is what the server sent."""
        with super()._with_subject():
            try:
                yield
            except IncompleteStreamError:
                raise
            except ProtocolError as error:
                self._check_undamaged(error)
                raise

    def _check_undamaged(self, wrong: ProtocolError) -> None:
        """Read the rest of a stream with a wrong message, up to its digest, which tells a damaged message from a wrong server.

        A rest that is cut, takes longer than :data:`_MAX_REST_SECONDS`, or is wrong itself tells nothing.

        :raises DamagedStreamError: if the stream was damaged, so that the request may be repeated
        """
        until = time.monotonic() + _MAX_REST_SECONDS
        try:
            while next(self._messages, None) is not None and time.monotonic() < until:
                pass
        except DamagedStreamError as error:
            raise error from wrong
        except (GuardError, ProtocolError, ServerError, TransportError):
            return


def unexpected(message: msgspec.Struct | None, expected: str) -> ProtocolError:
    """Return the error for a message that has no place in a stream.

    :param message: ``None`` if the stream ended
    """
    received = "nothing" if message is None else f"a message {type(message).__struct_config__.tag!r}"
    return ProtocolError(f"The server sent {received} instead of {expected}. Does it run the same version?")
