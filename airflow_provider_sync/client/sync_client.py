"""The client of a sync server; chooses the version of the protocol and the snapshot to read from.

The endpoints are methods of its bases, in :mod:`.table_requests`, :mod:`.file_requests` and :mod:`.version1_requests`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from inspect import signature
from types import TracebackType
from typing import Literal, Self

import msgspec

from airflow_provider_sync.cancellation import current_cancellation
from airflow_provider_sync.client.body import Traffic
from airflow_provider_sync.client.capabilities import read_capabilities
from airflow_provider_sync.client.connection_settings import (
    ConnectionSettings,
    base_url,
    checked_certificate,
    checked_headers,
    credentials,
)
from airflow_provider_sync.client.file_requests import FileRequests
from airflow_provider_sync.client.refusals import Subject
from airflow_provider_sync.client.table_requests import TableRequests
from airflow_provider_sync.client.table_streams import SnapshotAnswer
from airflow_provider_sync.client.transport import Call, Transport, message_call
from airflow_provider_sync.client.version1_answers import read_short_json
from airflow_provider_sync.client.version1_requests import Version1Requests
from airflow_provider_sync.config import DEFAULT_MAX_SILENCE, PROTOCOLS, ClientConfig, SizeLimits
from airflow_provider_sync.escalation import Canceller
from airflow_provider_sync.exceptions import ConfigurationError, ProtocolError
from airflow_provider_sync.protocol.v2.messages import MAX_TABLES, Capabilities, HoldSnapshot
from airflow_provider_sync.time_zones import TimeZone, checked_time_zone, time_zone_named


class SyncClient(TableRequests, FileRequests, Version1Requests):
    """Asks one sync server for its tables and directories.

    :param url: base URL, as ``https://host/api/sync``
    :param token: bearer token
    :param login: user name for basic authentication, instead of a token
    :param password: password for basic authentication
    :param headers: further headers for every request
    :param timeout: seconds to wait for a connection, for the headers of an answer, and for each piece of its body
    :param max_silence: seconds without rows, digests or file content after which an answer fails, even if keep-alives come
    :param verify: check the server's TLS certificate; or the path of a bundle of authorities
    :param certificate: path of the client's certificate, for servers that want one
    :param key: path of its private key; ``None`` if it is in the file of the certificate
    :param retries: attempts after a transient failure, with growing pauses
    :param protocol: ``auto`` uses version 2 if the server supports it; ``1`` or ``2`` uses that version
    :param time_zone: of the source's database, in which version 1 sends TIMESTAMP; ``None`` if it is unknown
    :param max_seconds: default of :meth:`within`
    :param limits: how much the server may send; ``None`` for the defaults
    :ivar traffic: counters of requests and bytes
    :ivar time_zone: of the source's database, if it is configured
    :ivar source_time_zone: the one announced with the last table or hash of version 1; only servers of this package send it
    :ivar retries: how often a request is repeated
    :ivar snapshot: name of the snapshot that tables are read from; ``None`` outside of :meth:`holding_snapshot`
    :raises ConfigurationError: for a URL or credentials that cannot be used
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        login: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        max_silence: float = DEFAULT_MAX_SILENCE,
        verify: bool | str = True,
        certificate: str | None = None,
        key: str | None = None,
        retries: int = 3,
        protocol: str | int = "auto",
        time_zone: str | int | None = None,
        max_seconds: float | None = None,
        limits: SizeLimits | None = None,
    ) -> None:
        if str(protocol) not in PROTOCOLS:
            raise ConfigurationError(f"protocol is {protocol!r}. Give 'auto', 1 or 2.")
        self._protocol = str(protocol)
        self._knows_capabilities = self._protocol == "1"  # version 1 has no capabilities to ask for
        self._capabilities = None
        named = checked_time_zone(time_zone)
        self.time_zone = time_zone_named(named) if named else None
        self.source_time_zone: TimeZone | None = None
        self.retries = max(0, retries)
        self.limits = limits or SizeLimits()
        self._max_seconds = max_seconds
        self.snapshot: str | None = None
        self.names_keys = False
        self._cancellation = ExitStack()
        self._transport = Transport(
            ConnectionSettings(
                auth=credentials(token, login, password),
                url=base_url(url),
                headers=checked_headers(headers or {}),
                timeout=timeout,
                max_silence=max_silence,
                verify=verify,
                certificate=checked_certificate(certificate, key),
                retries=self.retries,
            )
        )

    @classmethod
    def from_config(cls, config: ClientConfig) -> Self:
        """Build the client that ``client.yaml`` describes; its options have the names of the parameters."""
        return cls(**{name: getattr(config, name) for name in signature(cls).parameters})

    def __enter__(self) -> Self:
        if (cancellation := current_cancellation()) is not None:
            self._cancellation.enter_context(cancellation.watching(Canceller(self._end_request)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cancellation.close()
        self.close()

    def __repr__(self) -> str:
        return f"SyncClient({self.url!r})"

    def close(self) -> None:
        """Close the connections to the server."""
        self._transport.close()

    def give_up(self) -> None:
        """Make the running request of another thread fail with a :class:`.TransportError`, within about a second.

        The client cannot be used afterwards.
        """
        self._transport.give_up()

    def _end_request(self) -> bool:
        self.give_up()
        return True

    def within(self, seconds: float | None) -> AbstractContextManager[None]:
        """Limit the time of all requests in the block; above it they fail with a :class:`.TransportError`.

        :param seconds: the limit; ``None`` for the client's ``max_seconds``
        """
        return self._transport.time_limits.within(self._max_seconds if seconds is None else seconds)

    @property
    def gave_up(self) -> bool:
        """Whether :meth:`give_up` was called."""
        return self._transport.gave_up

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._transport.url

    @property
    def traffic(self) -> Traffic:
        """Counters of requests and bytes, which go on counting."""
        return self._transport.traffic

    def ping(self) -> None:
        """Check that a sync server answers at the URL, and that it accepts this client.

        :raises SyncError: when it does not; the message says what answered instead
        """
        # A sync server answers that the table's name is missing.
        body = self._transport.post("/getTableHash", [], read_short_json, subject=Subject("a table"), expect=(422,))
        try:
            answer = msgspec.json.decode(body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            answer = {}
        if "config_name" not in answer:
            raise ProtocolError(f"There is something at {self.url}, but it does not answer as a sync server does. Check the URL.")

    def capabilities(self, *, again: bool = False) -> Capabilities | None:
        """Return what the server offers to this client; only the first call sends a request.

        :param again: send the request again, to a server of version 2
        :return: ``None`` for a server of version 1, and for a client with ``protocol=1``
        :raises ServerError: when the server refuses this client, or fails
        :raises ProtocolError: for an answer that fits neither version
        :raises TransportError: if there is no answer, so that the version stays unknown
        """
        if not self._knows_capabilities or (again and self._capabilities is not None):
            call, subject = Call("/capabilities"), Subject("its list of tables and directories")
            self._capabilities = self._transport.send(call, read_capabilities, subject=subject, expect=(200, 404, 405))
            self._knows_capabilities = True
            self.names_keys = self._capabilities is not None and self._capabilities.named_keys
        return self._capabilities

    @property
    def protocol_spoken(self) -> Literal[1, 2]:
        """The version of the protocol in use; 1 before the first call of :meth:`capabilities`."""
        return 1 if self._capabilities is None else 2

    def protocol_for(self) -> Literal[1, 2]:
        """Return the version of the protocol to use with this server.

        :raises ConfigurationError: for ``protocol=2`` and a server that supports only version 1
        :raises SyncError: when the version cannot be determined; see :meth:`capabilities`
        """
        if self.capabilities() is not None:
            return 2
        if self._protocol == "2":
            raise ConfigurationError(
                f"The server at {self.url} speaks only version 1 of the protocol, and 2 is asked for."
                " Set protocol to 'auto' or 1, or check the URL."
            )
        return 1

    @contextmanager
    def holding_snapshot(self, tables: Sequence[str]) -> Iterator[None]:
        """Read all tables inside the block from one snapshot, which the server holds until the end of the block (version 2).

        :param tables: names of the tables to read, all in one database of the source
        :raises ConfigurationError: when the server cannot hold one
        :raises ServerError: when it refuses, or has reached its limit of snapshots
        """
        capabilities = self.capabilities()
        if capabilities is None or not capabilities.snapshots:
            raise ConfigurationError(
                f"consistent: the server at {self.url} cannot hold a snapshot for a whole run. Upgrade it, use version 2 of the"
                " protocol, or leave consistent out."
            )
        call = message_call("/holdSnapshot", HoldSnapshot(tables=tuple(tables)))
        with self._transport.send(call, SnapshotAnswer, subject=Subject("a snapshot of all tables")) as answer:
            self.snapshot = answer.snapshot
            try:
                yield
            finally:
                self.snapshot = None

    @property
    def tables_per_request(self) -> int:
        """Most tables in one request of :meth:`.describe_tables`; 0 for a server that describes only one table at a time."""
        capabilities = self.capabilities()
        return 0 if capabilities is None else min(MAX_TABLES, capabilities.tables_per_request)
