"""``server.yaml``: what the server half offers, and to whom."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from airflow_provider_sync.config.cache import Cache
from airflow_provider_sync.config.config_file import ConfigFile
from airflow_provider_sync.config.directories import SourceDirectory
from airflow_provider_sync.config.limits import ServerLimits
from airflow_provider_sync.config.log import LogOptions
from airflow_provider_sync.config.metrics import MetricsOptions
from airflow_provider_sync.config.options import WHOLE_NUMBER, TimeZoneName, named_entries, wrong_reference, wrong_value
from airflow_provider_sync.config.source_tables import SourceTable
from airflow_provider_sync.config.tables import has_connection, table_entries
from airflow_provider_sync.config.tls import ServerTLS
from airflow_provider_sync.config.tokens import Token, each_once, list_of_tokens, sees_what_is_offered


def _has_mask_key(table: SourceTable, read: ValidationInfo) -> SourceTable:
    if table.needs_mask_key and read.data.get("mask_key", "") is None:
        raise wrong_reference(
            f"Table {table.name!r} hashes columns with mask, which needs a secret. Set mask_key for the server, for instance to"
            ' "${MASK_KEY}".'
        )
    return table


def _whole_secret(secret: str) -> str:
    if not secret.strip():
        raise wrong_value("mask_key is empty. Give it a long random text.")
    return secret


class ServerConfig(ConfigFile, frozen=True):
    """``server.yaml``: what the server half offers, and to whom."""

    file_name: ClassVar[str] = "server.yaml"

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names that the header `Host` of a request may have. Empty for any name if there are tokens, and for this"
        " machine's own names if there are none.",
    )
    tls: ServerTLS | None = Field(
        default=None, description="The files of a server that speaks TLS itself. Otherwise it speaks plain HTTP."
    )
    workers: Annotated[int, Field(gt=0, le=1_000), WHOLE_NUMBER] = Field(default=1, description="Processes that answer requests.")
    limits: ServerLimits = Field(
        default_factory=ServerLimits, description="How much of the server clients may use, and for how long."
    )
    connections: dict[str, str] = Field(
        default={},
        description="SQLAlchemy URLs of databases (the password percent-encoded), or `airflow://CONN_ID`, by name.",
    )
    default_connection: str | None = Field(
        default=None, description="The connection of tables that name none. Otherwise the only one."
    )
    default_file_hasher: str = Field(default="md5", description="`md5`, `none`, or the import path of a class.")
    cache: Cache = None
    log: LogOptions = Field(
        default_factory=LogOptions,
        description="What `airflow-sync serve` logs, and where to, unless its flags say otherwise. A server in Airflow logs as"
        " Airflow does, and has `access` only.",
    )
    metrics: MetricsOptions = Field(
        default_factory=MetricsOptions, description="Who may read the server's metrics, at `GET /metrics`."
    )
    audit_log: str | None = Field(
        default=None,
        description="File to append to: one JSON object for each answer that has data or digests, with the name of the token."
        " Otherwise none.",
    )
    time_zone: TimeZoneName | None = Field(
        default=None,
        description="Time zone in which version 1 sends and hashes TIMESTAMP: that of the existing clients' databases,"
        " as `+01:00` or `Europe/Berlin`. Otherwise UTC.",
    )
    mask_key: Annotated[str, AfterValidator(_whole_secret)] | None = Field(
        default=None,
        repr=False,
        description="The secret by which `mask` hashes values; another one gives other hashes. Required for `hash`.",
    )
    tables: Annotated[
        dict[str, Annotated[SourceTable, AfterValidator(has_connection), AfterValidator(_has_mask_key)]],
        BeforeValidator(table_entries),
    ] = Field(
        default={},
        description="Tables by the names that clients ask for, or patterns of names, each with its options; or a pattern, or a"
        " list with patterns.",
    )
    directories: Annotated[dict[str, SourceDirectory], BeforeValidator(named_entries)] = Field(
        default={}, description="Directories by the names that clients ask for, each with its options."
    )
    # Behind what they name: pydantic checks in this order.
    tokens: Annotated[
        tuple[Annotated[Token, AfterValidator(sees_what_is_offered)], ...],
        BeforeValidator(list_of_tokens),
        AfterValidator(each_once),
    ] = Field(
        default=(),
        description="Tokens that clients may use: texts, or mappings that also say what a token may see. Required unless the"
        " server listens on a loopback address.",
    )

    def __repr__(self) -> str:
        return f"ServerConfig(tables={list(self.tables)}, directories={list(self.directories)})"
