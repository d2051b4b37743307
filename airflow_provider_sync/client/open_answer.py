"""The open answer to one request: its media type is checked, and its errors name what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.refusals import not_a_sync_server
from airflow_provider_sync.exceptions import GuardError, ProtocolError, ServerError, TableError, TransportError


class OpenAnswer:
    """An answer whose body is read as it arrives; leaving the ``with`` block closes it.

    :param body: the answer
    :param subject: what was requested, for messages: ``Table 'orders'``
    :param media_type: media type that the answer must have
    :raises ProtocolError: for an answer of another media type
    """

    def __init__(self, body: Body, subject: str, *, media_type: str) -> None:
        if body.content_type != media_type:
            raise not_a_sync_server(body.url, body.content_type, body.beginning())
        self._body = body
        self._subject = subject

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to the body, without reading the rest."""
        self._body.response.close()

    @contextmanager
    def _with_subject(self) -> Iterator[None]:
        """Add the subject to errors raised by the protocol's modules, which do not know it."""
        try:
            yield
        except (GuardError, ProtocolError, TableError, TransportError) as error:
            raise error.with_subject(self._subject) from error
        except ServerError as error:
            if error.of_table:
                self._body.met_lock()
            raise error.with_subject(f"{self._subject}: the server gave up") from error
