"""``client.yaml``: where the source is, and what to keep in step with it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from airflow_provider_sync.config.cache import Cache
from airflow_provider_sync.config.config_file import ConfigFile
from airflow_provider_sync.config.directories import FilesPerRequest, TargetDirectory, kept_apart
from airflow_provider_sync.config.limits import SizeLimits
from airflow_provider_sync.config.options import (
    VARIABLE,
    Days,
    Retries,
    Seconds,
    SocketSeconds,
    TimeZoneName,
    named_entries,
    wrong_value,
)
from airflow_provider_sync.config.tables import has_connection, table_entries
from airflow_provider_sync.config.target_tables import TargetTable
from airflow_provider_sync.printable import printable
from airflow_provider_sync.redaction import redact

DEFAULT_FILES_PER_REQUEST = 10
DEFAULT_MAX_SECONDS = 86_400.0
DEFAULT_MAX_SILENCE = 10_800.0
"""Seconds without data after which a request fails; a database may read a hash-partitioned table for hours before it answers."""
PROTOCOLS = ("auto", "1", "2")


def _protocol(value: Any) -> Any:
    if str(value) not in PROTOCOLS or isinstance(value, bool):
        raise wrong_value(f"protocol is {printable(repr(value), 40)}. Give 'auto', 1 or 2.")
    return value


Protocol = Annotated[
    str | int,
    BeforeValidator(_protocol),
    WithJsonSchema({"anyOf": [{"enum": ["auto", 1, 2, "1", "2"]}, {"type": "string", "pattern": VARIABLE}]}),
]


class ClientConfig(ConfigFile, frozen=True):
    """``client.yaml``: where the source is, and what to keep in step with it."""

    file_name: ClassVar[str] = "client.yaml"

    url: str = Field(description="Base URL of the server, such as `https://source.example/api/sync`.")
    token: str | None = Field(default=None, description="Bearer token.")
    login: str | None = Field(default=None, description="User name of basic authentication, with `password`.")
    password: str | None = Field(default=None, description="Password of basic authentication, with `login`.")
    headers: dict[str, str] = Field(default={}, description="Headers to send with every request.")
    protocol: Protocol = Field(
        default="auto", description="Version for tables: `auto` takes 2 if the server has it, and 1 otherwise."
    )
    timeout: SocketSeconds = Field(
        default=60.0,
        description="Seconds to wait for a connection, for the head of an answer, and between two pieces of its body.",
    )
    max_silence: SocketSeconds = Field(
        default=DEFAULT_MAX_SILENCE,
        description="Longest time, in seconds, without rows, digests or content of files in an answer.",
    )
    max_seconds: Seconds = Field(
        default=DEFAULT_MAX_SECONDS,
        description="Longest time, in seconds, for comparing and downloading one table or one directory.",
    )
    limits: SizeLimits = Field(default_factory=SizeLimits, description="How much the server may send.")
    verify: bool | str = Field(
        default=True, description="Whether to check the server's TLS certificate; or the path of a bundle of authorities."
    )
    certificate: str | None = Field(
        default=None, description="Path of the client's certificate, in PEM format, for servers that want one."
    )
    key: str | None = Field(
        default=None,
        description="Path of its private key, which others must not be able to read. Otherwise the key is in the file of the"
        " certificate.",
    )
    retries: Retries = Field(default=3, description="Attempts after a transient failure.")
    time_zone: TimeZoneName | None = Field(
        default=None,
        description="Time zone of an existing server's database, in which version 1 sends TIMESTAMP: `+01:00` or"
        " `Europe/Berlin`.",
    )
    files_per_request: FilesPerRequest = Field(
        default=DEFAULT_FILES_PER_REQUEST, description="Files to ask for at once, at most 998."
    )
    cache: Cache = None
    single_transaction: bool = Field(
        default=True,
        description="Commit all tables of one connection together, or none of them. With `false`, commit each by itself.",
    )
    consistent: bool = Field(
        default=False,
        description="Read all tables of a run from one snapshot of the source's database, so that they show the same moment"
        " (version 2 of the protocol).",
    )
    history: str | None = Field(
        default=None,
        description="URL of a database, or `airflow://CONN_ID`, in which `run` keeps records of its syncs. Otherwise none.",
    )
    history_days: Days = Field(default=90, description="Number of days for which records are kept.")
    connections: dict[str, str] = Field(
        default={},
        description="SQLAlchemy URLs of databases (the password percent-encoded), or `airflow://CONN_ID`, by name.",
    )
    default_connection: str | None = Field(
        default=None, description="The connection of tables that name none. Otherwise the only one."
    )
    tables: Annotated[
        dict[str, Annotated[TargetTable, AfterValidator(has_connection)]],
        BeforeValidator(table_entries),
    ] = Field(
        default={},
        description="Tables by the names under which the server offers them, or patterns of names, each with its options; or a"
        " pattern, or a list with patterns.",
    )
    directories: Annotated[dict[str, TargetDirectory], BeforeValidator(named_entries), AfterValidator(kept_apart)] = Field(
        default={}, description="Directories by the names under which the server offers them, each with its options."
    )

    def __repr__(self) -> str:
        return f"ClientConfig(url={redact(self.url)!r}, tables={list(self.tables)}, directories={list(self.directories)})"
