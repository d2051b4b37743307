"""The calls of the protocol."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Literal, Self

import msgspec
import requests
from requests.auth import AuthBase, HTTPBasicAuth

from airflow_provider_sync.cancellation import current_cancellation
from airflow_provider_sync.client.answers import FilesAnswer, TableAnswer, announced_time_zone
from airflow_provider_sync.client.body import Body, Traffic
from airflow_provider_sync.client.capabilities import read_capabilities
from airflow_provider_sync.client.table_streams import DescribedAnswer, RowDigestsAnswer, RowsAnswer
from airflow_provider_sync.client.transport import BearerAuth, Call, Transport, check_header
from airflow_provider_sync.config import DEFAULT_MAX_SILENCE, PROTOCOLS, ClientConfig, SizeLimits
from airflow_provider_sync.exceptions import ConfigurationError, ProtocolError
from airflow_provider_sync.protocol.v1 import MAX_NAME
from airflow_provider_sync.protocol.v1.file_hashes import Manifest, decode_manifest
from airflow_provider_sync.protocol.v1.requests import UNREADABLE, file_fields, table_fields
from airflow_provider_sync.protocol.v2.messages import Capabilities, DescribeTable, DigestRows, GetRows
from airflow_provider_sync.protocol.v2.stream import accept
from airflow_provider_sync.time_zones import TimeZone, checked_time_zone, time_zone_named

MAX_FILES = 998
"""Files in one request: existing servers cut a request at 1000 fields, the name included."""

_MIN_MANIFEST_BYTES = 16 * 1024 * 1024
_BYTES_PER_FILE = 256
"""Bytes of a path and a digest in a manifest that may be that large."""

_MAX_HASH_BYTES = 64 * 1024


class _TableHash(msgspec.Struct, frozen=True):
    hash: str


class SyncClient:
    """Asks one sync server for its tables and directories.

    :param url: base URL, as ``https://host/api/sync``
    :param token: bearer token
    :param login: user name for basic authentication, instead of a token
    :param password: password for basic authentication
    :param headers: further headers for every request
    :param timeout: seconds to wait for a connection, for the head of an answer, and between two pieces of its body
    :param max_silence: seconds that an answer may take without rows, digests or content of files, whatever else it sends
    :param verify: check the server's TLS certificate; or the path of a bundle of authorities
    :param retries: attempts after a transient failure, with growing pauses
    :param session: to send requests with; it stays open when the client is closed
    :param protocol: ``auto`` takes version 2 where the server has it; ``1`` or ``2`` takes that one
    :param time_zone: of the source's database, in which version 1 sends TIMESTAMP; ``None`` where it is not known
    :param max_seconds: what :meth:`within` takes where it is not told
    :param limits: how much the server may send; ``None`` for the defaults
    :ivar traffic: what went over the wire so far
    :ivar time_zone: of the source's database, where it is configured
    :ivar source_time_zone: what the server told with its last answer about a table of version 1, as ours does
    :ivar retries: how often a request is repeated
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
        retries: int = 3,
        session: requests.Session | None = None,
        protocol: str | int = "auto",
        time_zone: str | int | None = None,
        max_seconds: float | None = None,
        limits: SizeLimits | None = None,
    ) -> None:
        if str(protocol) not in PROTOCOLS:
            raise ConfigurationError(f"protocol is {protocol!r}. Give 'auto', 1 or 2.")
        self._protocol = str(protocol)
        self._asked = self._protocol == "1"  # nothing needs to be asked then
        self._capabilities: Capabilities | None = None
        named = checked_time_zone(time_zone)
        self.time_zone = time_zone_named(named) if named else None
        self.source_time_zone: TimeZone | None = None
        self.retries = max(0, retries)
        self.limits = limits or SizeLimits()
        self._max_seconds = max_seconds
        self._watched = ExitStack()
        self._transport = Transport(
            url,
            auth=_authentication(token, login, password),
            headers=headers,
            timeout=timeout,
            max_silence=max_silence,
            verify=verify,
            retries=retries,
            session=session,
        )

    @classmethod
    def from_config(cls, config: ClientConfig) -> Self:
        """Build the client that ``client.yaml`` describes."""
        return cls(
            config.url,
            token=config.token,
            login=config.login,
            password=config.password,
            headers=config.headers,
            timeout=config.timeout,
            verify=config.verify,
            retries=config.retries,
            protocol=config.protocol,
            time_zone=config.time_zone,
            max_silence=config.max_silence,
            max_seconds=config.max_seconds,
            limits=config.limits,
        )

    def __enter__(self) -> Self:
        if (cancellation := current_cancellation()) is not None:
            self._watched.enter_context(cancellation.watching(self.give_up))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._watched.close()
        self.close()

    def __repr__(self) -> str:
        return f"SyncClient({self.url!r})"

    def close(self) -> None:
        """Close the connections to the server."""
        self._transport.close()

    def give_up(self) -> None:
        """Have what another thread is asking end with a :class:`TransportError`, within a second or so.

        The client is of no use afterwards.
        """
        self._transport.give_up()

    def within(self, seconds: float | None) -> AbstractContextManager[None]:
        """Have everything that is asked within the block end with a :class:`TransportError` after so many seconds.

        :param seconds: ``None`` for what the client was made with
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
        """Check that there is a sync server behind the URL, and that it lets this client in.

        :raises SyncError: when there is none, saying what there is instead
        """
        # A sync server is the one that misses the name of a table.
        body = self._transport.post("/getTableHash", [], _read_json, subject="a table", expect=(422,))
        try:
            answer = msgspec.json.decode(body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = {}
        if "config_name" not in answer:
            raise ProtocolError(f"There is something at {self.url}, but it does not answer as a sync server does. Check the URL.")

    def capabilities(self) -> Capabilities | None:
        """Ask what the server offers to this client; it is asked once, and the answer remembered.

        :return: ``None`` for a server of version 1, and for a client that is told to take version 1
        :raises ServerError: when the server does not let this client in, or fails
        :raises ProtocolError: for an answer that is of neither version
        :raises TransportError: without an answer; that says nothing about versions
        """
        if not self._asked:
            call = Call("/capabilities")
            self._capabilities = self._transport.send(call, read_capabilities, subject="what it offers", expect=(200, 404, 405))
            self._asked = True
        return self._capabilities

    @property
    def protocol_spoken(self) -> Literal[1, 2]:
        """The version of the protocol that has been agreed on; 1 as long as nothing was asked."""
        return 1 if self._capabilities is None else 2

    def protocol_for(self) -> Literal[1, 2]:
        """Return the version of the protocol to use with this server.

        :raises ConfigurationError: when the client is told to take version 2, and the server does not have it
        :raises SyncError: when the server cannot tell; see :meth:`capabilities`
        """
        if self.capabilities() is not None:
            return 2
        if self._protocol == "2":
            raise ConfigurationError(
                f"The server at {self.url} speaks only version 1 of the protocol, and 2 is asked for."
                " Set protocol to 'auto' or 1, or check the URL."
            )
        return 1

    def describe_table(self, request: DescribeTable) -> DescribedAnswer:
        """Ask for the description of a table, and the digests of its segments (version 2).

        Repeated requests end where the description has come.

        :return: the description at once, and the digests to be read within a ``with`` block
        :raises ServerError: for a table, column or window that the server does not offer
        """

        def read(body: Body) -> DescribedAnswer:
            return DescribedAnswer(body, request, limits=self.limits)

        return self._transport.send(_call("/describeTable", request), read, subject=f"table {request.table_slice.name!r}")

    def digest_rows(self, request: DigestRows) -> RowDigestsAnswer:
        """Ask for the keys and digests of rows (version 2).

        :return: to be read within a ``with`` block
        :raises ServerError: for what the server does not offer
        """

        def read(body: Body) -> RowDigestsAnswer:
            return RowDigestsAnswer(body, request, limits=self.limits)

        return self._transport.send(_call("/digestRows", request), read, subject=f"table {request.table_slice.name!r}")

    def get_rows(self, request: GetRows, *, columns: int | None = None) -> RowsAnswer:
        """Ask for rows (version 2).

        :param columns: that each row must have, where it is known
        :return: to be read within a ``with`` block
        :raises ServerError: for what the server does not offer
        """

        def read(body: Body) -> RowsAnswer:
            return RowsAnswer(body, request, columns=columns, limits=self.limits)

        return self._transport.send(_call("/getRows", request), read, subject=f"table {request.table_slice.name!r}")

    def get_table_hash(self, name: str) -> str:
        """Ask for the hash of a table: 40 hex digits, ``--EMPTY--``, or what a hasher of the server's own makes.

        :param name: the name under which the server offers the table
        :raises ServerError: for a name that it does not offer, and for a table that it cannot hash (500)
        """

        def read(body: Body) -> str:
            self.source_time_zone = announced_time_zone(body)
            return _read_hash(body)

        return self._transport.post("/getTableHash", table_fields(name), read, subject=f"table {name!r}")

    def get_table(self, name: str, hash: str | None = None) -> TableAnswer | None:  # noqa: A002  # the protocol's own word
        """Ask for the rows of a table.

        Repeated requests end where the answer begins: a body that breaks off raises from the answer.

        :param name: the name under which the server offers the table
        :param hash: the hash of the rows that the client has; the server sends none when it has the same ones
        :return: the rows, to be read within a ``with`` block; ``None`` when the hash is the server's
        :raises ServerError: for a name that it does not offer; an existing server that cannot hash answers 500 when ``hash`` is
            given, and sends the table when it is not
        """

        def read(body: Body) -> TableAnswer | None:
            self.source_time_zone = announced_time_zone(body)
            if body.response.status_code == 304:
                body.beginning()  # there is nothing, but what has been read to its end leaves the connection open
                return None
            return TableAnswer(body, name, limits=self.limits)

        expect = (200,) if not hash else (200, 304)
        return self._transport.post("/getTable", table_fields(name, hash or None), read, subject=f"table {name!r}", expect=expect)

    def get_file_hashes(self, name: str) -> dict[str, str]:
        """Ask for the manifest of a directory: the hash of each file by its path, ``""`` where the server does not hash.

        :param name: the name under which the server offers the directory
        :raises ServerError: for a name that it does not offer
        """
        return self._manifest(name, file_fields(name, ())).hashes

    def get_manifest(self, name: str) -> Manifest:
        """Ask for the manifest of a directory, and for the names of what the server cannot read, where it can tell.

        :param name: the name under which the server offers the directory
        :raises ServerError: for a name that it does not offer; an existing server that cannot read a file answers 500
        """
        return self._manifest(name, [*file_fields(name, ()), UNREADABLE])

    def _manifest(self, name: str, fields: Sequence[tuple[str, str]]) -> Manifest:
        def read(body: Body) -> Manifest:
            most = self.limits.max_files
            text = body.json(limit=max(_MIN_MANIFEST_BYTES, most * _BYTES_PER_FILE), option="limits.max_files")
            return decode_manifest(text, max_files=most, option="limits.max_files")

        return self._transport.post("/getFileHashes", fields, read, subject=f"directory {name!r}", accept_encoding="gzip")

    def get_files(self, name: str, paths: Sequence[str], *, repeat: bool = True) -> FilesAnswer:
        """Ask for the content of files.

        :param name: the name under which the server offers the directory
        :param paths: at least one and at most :data:`MAX_FILES` paths of its manifest
        :param repeat: repeat the request as often as ``retries`` says; not where it is a part of one that was repeated
        :return: the files in that order, to be read within a ``with`` block
        :raises ServerError: for a name that it does not offer, and for a file that is no longer there (500)
        """
        if not 0 < len(paths) <= MAX_FILES:
            raise ConfigurationError(f"{len(paths)} files cannot be asked for in one request. Ask for 1 to {MAX_FILES}.")

        def read(body: Body) -> FilesAnswer:
            return FilesAnswer(body, name, paths, limits=self.limits)

        return self._transport.post("/getFiles", file_fields(name, paths), read, subject=f"directory {name!r}", repeat=repeat)


def _authentication(token: str | None, login: str | None, password: str | None) -> AuthBase | None:
    if token and login:
        raise ConfigurationError("Both a token and a login are given. Give a token, or login and password.")
    if password and not login:
        raise ConfigurationError("A password is given without a login. Give both, or a token.")
    if login:
        return HTTPBasicAuth(login.encode(), (password or "").encode())
    if token:
        check_header("The token", token, widest=chr(sys.maxunicode))
        return BearerAuth(token)
    return None


def _call(endpoint: str, request: DescribeTable | DigestRows | GetRows) -> Call:
    return Call(endpoint, msgspec.json.encode(request), "application/json", accept=f"{accept()}, application/json")


def _read_json(body: Body) -> bytearray:
    return body.json(limit=_MAX_HASH_BYTES)


def _read_hash(body: Body) -> str:
    text = _read_json(body)
    try:
        value = msgspec.json.decode(text, type=_TableHash).hash
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{body.url} did not answer with a hash: {error}. Check the URL.") from error
    if not value or len(value) > MAX_NAME or not value.isprintable():
        raise ProtocolError(f"{body.url} answered with a hash of {len(value)} characters that cannot be one. Check the URL.")
    return value
