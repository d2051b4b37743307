"""``server.yaml``: what the server half offers, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from airflow_provider_sync.config.cache import Cache
from airflow_provider_sync.config.directories import SourceDirectory
from airflow_provider_sync.config.limits import ServerLimits
from airflow_provider_sync.config.options import Options, TimeZoneName, named_entries, wrong_reference, wrong_value
from airflow_provider_sync.config.table_patterns import entry_for, is_pattern, matches
from airflow_provider_sync.config.tables import Conditions, SourceTable, has_connection, table_entries
from airflow_provider_sync.config.yaml_file import read_yaml


def _not_empty(token: str) -> str:
    if not token.strip():
        raise wrong_reference("A token is empty. Give each entry of tokens a value.")
    return token


class Token(Options, frozen=True):
    """A bearer token and what it may see."""

    token: Annotated[str, AfterValidator(_not_empty)] = Field(description="The secret itself.")
    tables: tuple[str, ...] | dict[str, str] | None = Field(
        default=None,
        description="Names of the tables that the token may see, or patterns of these names; or a mapping of the names by which"
        " it sees tables to names of entries, so that tokens see different entries under one name. Otherwise all.",
    )
    directories: tuple[str, ...] | None = Field(
        default=None, description="Names of the directories that the token may see. Otherwise all."
    )
    where: dict[str, Conditions] = Field(
        default={}, description="Conditions in SQL, by the names of tables, that rows have to fulfil for the token to see them."
    )

    @property
    def entries(self) -> Mapping[str, str]:
        """The names of entries by the names under which the token sees them, if they may differ."""
        return self.tables if isinstance(self.tables, dict) else {}

    def __repr__(self) -> str:
        return f"Token(token='***', tables={self.tables!r}, directories={self.directories!r})"


def _list_of_tokens(tokens: Any) -> Any:
    if not isinstance(tokens or [], (list, tuple)):
        # Of a text, each letter would be a token.
        raise wrong_reference('tokens must be a list. Write brackets around them: tokens: ["${SYNC_TOKEN}"].')
    return tuple({"token": entry} if isinstance(entry, str) else entry for entry in tokens or ())


def _sees_what_is_offered(token: Token, read: ValidationInfo) -> Token:
    """Refuse a token for what is not offered, which would see nothing."""
    # What cannot be used itself is not in `data`, and is reported where it stands.
    if "tables" in read.data:
        tables: Mapping[str, SourceTable] = read.data["tables"]
        names = token.entries.values() if token.entries else token.tables or ()
        _check_names("tables", names, tables, lambda name: _may_be_offered(name, tables))
        _check_entries(token, tables)
    if "directories" in read.data:
        directories = read.data["directories"]
        _check_names("directories", token.directories or (), directories, directories.__contains__)
    return token


def _check_entries(token: Token, tables: Mapping[str, SourceTable]) -> None:
    """Refuse patterns where one table is meant, and conditions that would not hold for all that a token sees."""
    for name in (*token.entries.keys(), *token.entries.values(), *token.where):
        if is_pattern(name):
            raise wrong_reference(
                f"A token names the pattern {name!r} where only the name of one table is possible. Name the table."
            )
    for name in token.where:
        visible = token.entries or token.tables
        if visible is not None and not any(matches(seen, name) if is_pattern(seen) else seen == name for seen in visible):
            raise wrong_reference(f"A token has a where for {name!r}, which is not under its tables. Add it there.")
        _check_names("tables", [token.entries.get(name, name)], tables, lambda entry: entry_for(entry, tables) is not None)
        entry = entry_for(token.entries.get(name, name), tables)
        if entry is not None and entry.hasher is not None:
            raise wrong_reference(
                f"A token has a where for {name!r}, whose hasher reads the whole table. Leave hasher out of the table's options."
            )


def _may_be_offered(name: str, tables: Mapping[str, SourceTable]) -> bool:
    """Whether a name, or a pattern, stands for anything; what patterns match shows only in the database."""
    if not is_pattern(name):
        return entry_for(name, tables) is not None
    return any(is_pattern(table) or matches(name, table) for table in tables)


def _check_names(group: str, names: Iterable[str], offered: Iterable[str], is_offered: Callable[[str], bool]) -> None:
    for name in names:
        if not is_offered(name):
            known = ", ".join(offered) or "none"
            raise wrong_reference(f"A token names {name!r}, which is not under {group}. There are: {known}.")


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


class ServerConfig(Options, frozen=True):
    """``server.yaml``: what the server half offers, and to whom."""

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names that the header `Host` of a request may have. Empty for any name if there are tokens, and for this"
        " machine's own names if there are none.",
    )
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
        tuple[Annotated[Token, AfterValidator(_sees_what_is_offered)], ...],
        BeforeValidator(_list_of_tokens),
    ] = Field(
        default=(),
        description="Tokens that clients may use: texts, or mappings that also say what a token may see. Required unless the"
        " server listens on a loopback address.",
    )

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a file, replacing ``${NAME}`` from the environment.

        :raises ConfigurationError: as :meth:`from_dict`, and for a file that cannot be read
        """
        return cls.from_dict(read_yaml(path))

    def __repr__(self) -> str:
        return f"ServerConfig(tables={list(self.tables)}, directories={list(self.directories)})"
