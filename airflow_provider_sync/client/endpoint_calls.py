"""The interface that the calls of all endpoints share, in both versions of the protocol."""

from __future__ import annotations

from airflow_provider_sync.client.refusals import Subject
from airflow_provider_sync.client.transport import Transport
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.protocol.v2.messages import Capabilities


class EndpointCalls:
    """A client that knows how to send requests, and what the server offers.

    :ivar limits: how much the server may send
    """

    limits: SizeLimits
    _transport: Transport
    _capabilities: Capabilities | None

    def _table(self, name: str) -> Subject:
        return Subject("table", name, self._capabilities.tables if self._capabilities else ())

    def _directory(self, name: str) -> Subject:
        return Subject("directory", name, self._capabilities.directories if self._capabilities else ())
