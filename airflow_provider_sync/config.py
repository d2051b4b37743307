"""What a user configures, checked when it is built.

Everything here is a frozen value made from YAML, from a mapping, or by keyword. Opening what it names (databases,
directories, sockets) belongs to the layers above.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from airflow_provider_sync.config_file import read_yaml
from airflow_provider_sync.config_limits import ServerLimits, SizeLimits
from airflow_provider_sync.config_mistakes import explain
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable
from airflow_provider_sync.time_zones import checked_time_zone

DEFAULT_MAX_DELETES = "50%"
DEFAULT_FILES_PER_REQUEST = 10
DEFAULT_MAX_SECONDS = 86_400.0
DEFAULT_MAX_SILENCE = 10_800.0
"""A database tells no digest of a table that is cut by hashes before it has read all of it, which may take hours."""
PROTOCOLS = ("auto", "1", "2")

Config = TypeVar("Config", bound=msgspec.Struct)
Entry = TypeVar("Entry", bound="_Options")


class DeleteLimit(msgspec.Struct, frozen=True):
    """How many rows or files one sync may delete: a share of what the target has, or a fixed number.

    A share applies only above :attr:`FREE` deletions, so that small tables and directories never ask.

    :ivar share: at most this part of the target, from 0.0 to 1.0, or ``None``
    :ivar count: at most this many, or ``None``
    """

    FREE = 100

    share: float | None = None
    count: int | None = None

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """Read ``50%`` or ``2000``.

        :raises ConfigurationError: for anything else
        """
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", str(value))
        if match is None or (match[2] and float(match[1]) > 100) or (not match[2] and "." in match[1]):
            raise ConfigurationError(f"max_deletes is {value!r}. Give a number, or a share such as '50%'.")
        return cls(share=float(match[1]) / 100) if match[2] else cls(count=int(match[1]))

    def allows(self, deletes: int, *, of: int) -> bool:
        """Whether ``deletes`` of the target's ``of`` rows or files may go."""
        if self.count is not None:
            return deletes <= self.count
        return deletes <= self.FREE or deletes <= of * (self.share if self.share is not None else 1.0)


class _Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings under a name."""

    name: str


class TableConfig(_Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table under the name that goes over the wire.

    :ivar connection: a name under ``connections``, or a database URL; ``None`` for the default connection
    :ivar table: name in the database, ``schema.table`` where the schema is not the default one; ``None`` for ``name``
    :ivar primary: column or columns that identify a row; ``None`` to take the table's own primary key
    :ivar columns: the columns to synchronise; empty for all
    :ivar hasher: import path of a class with ``hash(engine, table) -> str``; ``None`` for the protocol's own
    :ivar allow_row_security: sync only the rows that PostgreSQL's row-level security shows to the role, instead of failing
    """

    connection: str | None = None
    table: str | None = None
    primary: str | tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    hasher: str | None = None
    allow_row_security: bool = False

    @property
    def table_name(self) -> str:
        """Name of the table in the database."""
        return self.table or self.name

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Configured key columns, empty when the table's own key is meant."""
        if self.primary is None:
            return ()
        return (self.primary,) if isinstance(self.primary, str) else self.primary


class SourceTable(TableConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that a server offers.

    :ivar windows: columns by which clients may ask for a range of rows (version 2)
    """

    windows: tuple[str, ...] = ()


class TargetTable(TableConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that a client keeps in step.

    :ivar renames: column of the source to column of the target
    :ivar max_deletes: a share (``"50%"``, applied above 100 rows) or a number of rows that one sync may delete
    :ivar allow_empty_source: whether an empty source may empty the target
    :ivar allow_non_transactional: whether the target may be a table that cannot be rolled back, such as one of MyISAM
    :ivar create_table: make a missing target from the source's description (version 2)
    :ivar window: column, first value, value after the last (version 2)
    :ivar import_indexes: columns of the staging table to index for the join, beside the key
    :ivar staging: ``permanent``, ``temporary``, or the import path of a class with ``create`` and ``drop``
    :ivar verify: compare staged rows and target before the commit
    :ivar max_seconds: seconds that comparing and downloading may take; ``None`` for the client's setting
    """

    renames: dict[str, str] = {}
    max_deletes: str | int = DEFAULT_MAX_DELETES
    allow_empty_source: bool = False
    allow_non_transactional: bool = False
    create_table: bool = False
    window: tuple[str, str, str] | None = None
    import_indexes: tuple[str, ...] = ()
    staging: str = "permanent"
    verify: bool = True
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        _check_positive("max_seconds", self.max_seconds, f"{self.name!r}: ")
        DeleteLimit.parse(self.max_deletes)
        if len(set(self.renames.values())) != len(self.renames):
            raise ConfigurationError(f"Table {self.name!r}: renames give two columns one name. Name each target column once.")
        if self.window is not None and self.window[1] == self.window[2]:
            raise ConfigurationError(
                f"Table {self.name!r}: window begins and ends at {self.window[1]!r}, so no row is in it."
                " In a DAG use a timetable with intervals, such as CronDataIntervalTimetable."
            )


class DirectoryConfig(_Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory under the name that goes over the wire.

    :ivar path: a local path or a URL of object storage, ``s3://connection@bucket/prefix``
    :ivar hasher: ``md5``, ``none``, or the import path of a class; ``None`` for the default
    :ivar include: glob patterns of paths to synchronise; empty for all
    :ivar exclude: glob patterns of paths to leave alone, on both sides
    """

    path: str
    hasher: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class SourceDirectory(DirectoryConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory that a server offers."""


class TargetDirectory(DirectoryConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory that a client keeps in step.

    :ivar prefix: a folder of the source: only its files are synchronised, and ``path`` stands for it; ``None`` for the root
    :ivar max_deletes: a share (``"50%"``, applied above 100 files) or a number of files that one sync may delete
    :ivar allow_empty_source: whether an empty source may empty the target
    :ivar skip_unreadable: whether files that cannot be read, sent or written are left out with a warning, rather than an error
    :ivar files_per_request: at most this many files in one request; ``None`` for the client's setting
    :ivar bytes_per_request: ask for fewer files at once where the ones seen so far are so large that a batch would exceed this
    :ivar max_seconds: seconds that comparing and downloading may take; ``None`` for the client's setting
    """

    prefix: str | None = None
    max_deletes: str | int = DEFAULT_MAX_DELETES
    allow_empty_source: bool = False
    skip_unreadable: bool = False
    files_per_request: int | None = None
    bytes_per_request: int = 64 * 1024 * 1024
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        DeleteLimit.parse(self.max_deletes)
        if self.prefix is not None:
            msgspec.structs.force_setattr(self, "prefix", _folder(self.name, self.prefix))
        _check_positive("files_per_request", self.files_per_request, f"{self.name!r}: ")
        _check_positive("bytes_per_request", self.bytes_per_request, f"{self.name!r}: ")
        _check_positive("max_seconds", self.max_seconds, f"{self.name!r}: ")


def _folder(name: str, prefix: str) -> str:
    folders = prefix.strip("/").split("/")
    if not {"", ".", ".."}.isdisjoint(folders):
        raise ConfigurationError(f"{name!r}: prefix is {prefix!r}. Give a folder of the source, such as '2026/01'.")
    return "/".join(folders)


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bearer token and what it may see.

    :ivar tables: names of tables; ``None`` for all
    :ivar directories: names of directories; ``None`` for all
    """

    token: str
    tables: tuple[str, ...] | None = None
    directories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.token.strip():
            raise ConfigurationError("A token is empty. Give each entry of tokens a value.")

    def __repr__(self) -> str:
        return f"Token(token='***', tables={self.tables!r}, directories={self.directories!r})"


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``server.yaml``: what the server half offers, and to whom.

    :ivar time_zone: in which version 1 sends and hashes TIMESTAMP, that of existing clients' databases; ``None`` for UTC
    :ivar allowed_hosts: names by which the server may be addressed, in the header ``Host``; empty for any where there are
        tokens, and for this machine's own names where there are none
    """

    tokens: tuple[Token, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    limits: ServerLimits = ServerLimits()
    connections: dict[str, str] = {}
    default_connection: str | None = None
    default_file_hasher: str = "md5"
    time_zone: str | int | None = None
    tables: dict[str, SourceTable] = {}
    directories: dict[str, SourceDirectory] = {}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check ``settings`` and build the configuration.

        :raises ConfigurationError: with the path of the wrong entry
        """
        plain = dict(settings)
        tokens = plain.get("tokens") or []
        if not isinstance(tokens, (list, tuple)):
            # Of a text, each letter would be a token.
            raise ConfigurationError('tokens must be a list. Write brackets around them: tokens: ["${SYNC_TOKEN}"].')
        plain["tokens"] = [{"token": entry} if isinstance(entry, str) else entry for entry in tokens]
        return _build(cls, plain, tables=SourceTable, directories=SourceDirectory)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a file, replacing ``${NAME}`` from the environment."""
        return cls.from_dict(read_yaml(path))

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "time_zone", checked_time_zone(self.time_zone))
        for table in self.tables.values():
            _check_connection(self.connections, self.default_connection, table)
        for token in self.tokens:
            _check_names("tables", token.tables, self.tables)
            _check_names("directories", token.directories, self.directories)

    def __repr__(self) -> str:
        return f"ServerConfig(tables={list(self.tables)}, directories={list(self.directories)})"


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``client.yaml``: where the source is, and what to keep in step with it.

    :ivar timeout: seconds to wait for a connection, for the head of an answer, and between two pieces of its body
    :ivar max_silence: seconds that an answer may take without rows, digests or content of files, whatever else the server sends
    :ivar max_seconds: seconds that comparing and downloading one table, or one directory, may take
    :ivar limits: how much the server may send
    :ivar verify: check the server's TLS certificate; or the path of a bundle of authorities
    :ivar retries: attempts after a transient failure
    :ivar time_zone: time zone in which a server of version 1 sends TIMESTAMP, its database's: an offset or an IANA name
    :ivar history: URL of the database in which the records of runs are kept; ``None`` keeps none
    :ivar history_days: days for which they are kept
    """

    url: str
    token: str | None = None
    login: str | None = None
    password: str | None = None
    headers: dict[str, str] = {}
    protocol: str | int = "auto"
    timeout: float = 60.0
    max_silence: float = DEFAULT_MAX_SILENCE
    max_seconds: float = DEFAULT_MAX_SECONDS
    limits: SizeLimits = SizeLimits()
    verify: bool | str = True
    retries: int = 3
    time_zone: str | int | None = None
    files_per_request: int = DEFAULT_FILES_PER_REQUEST
    single_transaction: bool = True
    history: str | None = None
    history_days: int = 90
    connections: dict[str, str] = {}
    default_connection: str | None = None
    tables: dict[str, TargetTable] = {}
    directories: dict[str, TargetDirectory] = {}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check ``settings`` and build the configuration.

        :raises ConfigurationError: with the path of the wrong entry
        """
        return _build(cls, settings, tables=TargetTable, directories=TargetDirectory)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a file, replacing ``${NAME}`` from the environment."""
        return cls.from_dict(read_yaml(path))

    def __post_init__(self) -> None:
        if str(self.protocol) not in PROTOCOLS:
            raise ConfigurationError(f"protocol is {self.protocol!r}. Give 'auto', 1 or 2.")
        msgspec.structs.force_setattr(self, "time_zone", checked_time_zone(self.time_zone))
        _check_positive("files_per_request", self.files_per_request)
        for option in ("timeout", "max_silence", "max_seconds"):
            _check_positive(option, getattr(self, option))
        _check_positive("history_days", self.history_days)
        if self.retries < 0:
            raise ConfigurationError(f"retries is {self.retries}. Give 0 or more.")
        for table in self.tables.values():
            _check_connection(self.connections, self.default_connection, table)

    def __repr__(self) -> str:
        return f"ClientConfig(url={self.url!r}, tables={list(self.tables)}, directories={list(self.directories)})"


def table_from_options(name: str, options: Mapping[str, Any] | None) -> TargetTable:
    """Build the configuration of one target table from the options of an operator or of ``client.yaml``.

    Numeric strings are accepted, since templates render to text.

    :raises ConfigurationError: for an unknown option or a value of the wrong type
    """
    return _entry(name, options, TargetTable)


def directory_from_options(name: str, options: Mapping[str, Any] | None) -> TargetDirectory:
    """Build the configuration of one target directory; see :func:`table_from_options`."""
    return _entry(name, options, TargetDirectory)


def connection_url(connections: Mapping[str, str], default: str | None, table: TableConfig) -> str:
    """Return the database URL for ``table``: its own, the one that it names, or the default.

    :raises ConfigurationError: when there is none
    """
    name = table.connection or default
    if name is None and len(connections) == 1:
        name = next(iter(connections))
    if name is None:
        raise ConfigurationError(f"Table {table.name!r} has no connection. Set connection for it, or default_connection.")
    if name in connections:
        return connections[name]
    if "://" in name:
        return name
    raise ConfigurationError(
        f"Table {table.name!r} names the connection {name!r}, which is not under connections."
        " Add it there, or give a database URL."
    )


def _check_names(group: str, names: Iterable[str] | None, offered: Mapping[str, object]) -> None:
    """Refuse a token for what is not offered, which would see nothing."""
    for name in names or ():
        if name not in offered:
            known = ", ".join(offered) or "none"
            raise ConfigurationError(f"A token names {name!r}, which is not under {group}. There are: {known}.")


def _check_positive(option: str, value: float | None, where: str = "") -> None:
    if value is not None and not 0 < value < math.inf:
        raise ConfigurationError(f"{where}{option} is {value}. Give {'a number' if value > 0 else 'more than 0'}.")


def _check_connection(connections: Mapping[str, str], default: str | None, table: TableConfig) -> None:
    connection_url(connections, default, table)


def _build(
    kind: type[Config], settings: Mapping[str, Any], *, tables: type[TableConfig], directories: type[DirectoryConfig]
) -> Config:
    plain = dict(settings)
    plain["tables"] = _named(plain.get("tables"), tables, "tables")
    plain["directories"] = _named(plain.get("directories"), directories, "directories")
    return _convert(plain, kind)


def _named(entries: Any, kind: type[Entry], group: str) -> dict[str, Entry]:
    if not isinstance(entries or {}, Mapping):
        raise ConfigurationError(f"{group} must be a mapping of names to options, not {_kind_of(entries)}.")
    return {str(name): _entry(str(name), options, kind) for name, options in (entries or {}).items()}


def _kind_of(value: Any) -> str:
    """Name what stands in place of a mapping, as YAML does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"the number {value}" if isinstance(value, (int, float)) else f"the text {printable(value, 40)!r}"


def _entry(name: str, options: Any, kind: type[Entry]) -> Entry:
    if not isinstance(options or {}, Mapping):
        raise ConfigurationError(f"{name!r}: its options must be a mapping, not {_kind_of(options)}.")
    if "name" in (options or {}):
        raise ConfigurationError(f"{name!r}: there is no option 'name': what stands before the options is the name.")
    plain = {**(options or {}), "name": name}
    if isinstance(plain.get("window"), (list, tuple)):
        # YAML makes numbers and dates of what is meant as text here.
        plain["window"] = [end.isoformat() if isinstance(end, date) else str(end) for end in plain["window"]]
    return _convert(plain, kind)


def _convert(settings: Mapping[str, Any], kind: type[Config]) -> Config:
    try:
        return msgspec.convert(settings, kind, strict=False)
    except msgspec.ValidationError as error:
        where = f"{settings['name']!r}: " if "name" in settings else ""
        options = [field for field in kind.__struct_fields__ if field != "name"]
        raise ConfigurationError(where + explain(str(error), options=options)) from error
