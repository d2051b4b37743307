"""The open answer of version 2 to one request: its media type is checked, and its errors name what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import msgspec

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.refusals import not_a_sync_server
from airflow_provider_sync.exceptions import GuardError, ProtocolError, ServerError, TransportError
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.stream import MEDIA_TYPE, parse_media_type


class MessageStream:
    """A stream of messages; leaving the ``with`` block closes it.

    :param body: the answer
    :param subject: what was asked for, for messages: ``Table 'orders'``
    :param compressions: the compressions that the answer may have
    :ivar compression: the one that it has
    :raises ProtocolError: for an answer that is no such stream
    """

    def __init__(self, body: Body, subject: str, *, compressions: Sequence[str] = COMPRESSIONS) -> None:
        if body.content_type != MEDIA_TYPE:
            raise not_a_sync_server(body.url, body.content_type, body.beginning())
        self._body = body
        self._subject = subject
        with self._with_subject():
            self.compression = parse_media_type(body.response.headers["Content-Type"], compressions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._body.response.close()

    @contextmanager
    def _with_subject(self) -> Iterator[None]:
        """Add the subject to errors of the protocol's modules, which do not know it."""
        try:
            yield
        except (GuardError, ProtocolError, TransportError) as error:
            raise error.with_subject(self._subject) from error
        except ServerError as error:
            raise error.with_subject(f"{self._subject}: the server gave up") from error


def unexpected(message: msgspec.Struct | None, expected: str) -> ProtocolError:
    """Return the error for a message that has no place in a stream.

    :param message: ``None`` if the stream ended
    """
    received = "nothing" if message is None else f"a message {type(message).__struct_config__.tag!r}"
    return ProtocolError(f"The server sent {received} instead of {expected}. Does it run the same version?")
