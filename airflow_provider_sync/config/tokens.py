"""``tokens`` of ``server.yaml``: the valid tokens, their networks and expiry, and the tables and directories each may see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, model_validator

from airflow_provider_sync.config.options import Options, wrong_reference, wrong_value
from airflow_provider_sync.config.source_tables import Conditions, SourceTable
from airflow_provider_sync.config.table_patterns import entry_for, is_pattern, matches
from airflow_provider_sync.printable import printable

Network = IPv4Network | IPv6Network

_MAX_NAME = 100


def token_digest(token: str) -> str:
    """Return what ``token_sha256`` holds for a token: 64 hex digits."""
    return sha256(token.encode()).hexdigest()


def expiry(value: Any) -> datetime:
    """Read a date, or a time with a zone, as YAML or a text has it.

    :return: the last moment at which the token is valid, in UTC; for a date, the end of that day
    :raises PydanticCustomError: for anything else
    """
    wanted = "Give a date such as 2027-01-31, or a time with its zone such as 2027-01-31T12:00:00+01:00."
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value) if len(value) <= len("2027-01-31") else datetime.fromisoformat(value)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise wrong_value(f"expires is {printable(value, 40)!r}. {wanted}") from error
    if isinstance(value, datetime):
        raise wrong_value(f"expires is {value}, a time without a zone. {wanted}")
    if isinstance(value, date):
        return datetime.combine(value, time.max, UTC)
    raise wrong_value(f"expires is {printable(value, 40)!r}. {wanted}")


def network(value: Any) -> Network:
    """Read an address or a network in CIDR notation.

    :raises PydanticCustomError: for anything else, and for an address with bits beyond its network
    """
    if not isinstance(value, str):
        value = printable(value, 40)  # YAML takes 10.0 for a number.
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = f"Did you mean {ip_network(value, strict=False)}, or one address?"
    except ValueError:
        meant = "Give an address such as 192.0.2.7, or a network such as 192.0.2.0/24."
    raise wrong_value(f"addresses has {printable(value, 60)!r}. {meant}")


def not_empty(token: str) -> str:
    """Refuse an empty secret."""
    if not token.strip():
        raise wrong_reference("A token is empty. Give each entry of tokens a value.")
    return token


def _one_short_line(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > _MAX_NAME:
        raise wrong_value(f"name is {printable(name, 40)!r}. Give a name of 1 to {_MAX_NAME} letters, for the log.")
    return name


def sha256_digest(digest: str) -> str:
    """Refuse what is no SHA-256."""
    # The value is not in the message: it may be the token itself, in the wrong place.
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digest.strip()):
        raise wrong_value(
            "token_sha256 is no SHA-256, which has 64 hex digits. `airflow-sync token new` makes a token and prints its SHA-256."
        )
    return digest.strip().lower()


def _some_address(addresses: tuple[Network, ...]) -> tuple[Network, ...]:
    if not addresses:
        raise wrong_value("addresses is empty, so that nobody could use the token. Leave it out to allow every address.")
    return addresses


class Token(Options, frozen=True):
    """A bearer token, from where and until when it counts, and what it may see."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["token"]}, {"required": ["token_sha256"]}]})

    token: Annotated[str, AfterValidator(not_empty)] | None = Field(
        default=None, description="The secret itself. Give this or `token_sha256`."
    )
    token_sha256: Annotated[str, AfterValidator(sha256_digest)] | None = Field(
        default=None,
        description="The SHA-256 of the secret, as 64 hex digits, in its place: the file then holds no secret."
        " `airflow-sync token new` prints it.",
    )
    name: Annotated[str, AfterValidator(_one_short_line)] | None = Field(
        default=None, description="What the log calls the token; each name once."
    )
    expires: Annotated[datetime, BeforeValidator(expiry), WithJsonSchema({"type": "string"})] | None = Field(
        default=None,
        description="Last day, in UTC, on which the token is valid, or the time, with its zone, at which it expires. Otherwise it"
        " never expires.",
    )
    addresses: (
        Annotated[
            tuple[Annotated[Network, BeforeValidator(network), WithJsonSchema({"type": "string"})], ...],
            AfterValidator(_some_address),
        ]
        | None
    ) = Field(default=None, description="Addresses and networks (CIDR) from which the token may be used. Otherwise all.")
    tables: tuple[str, ...] | dict[str, str] | None = Field(
        default=None,
        description="Names of the tables that the token may see, or patterns of names; or a mapping from the names that the token"
        " uses to entries, so that tokens see different entries under one name. Otherwise all.",
    )
    directories: tuple[str, ...] | None = Field(
        default=None, description="Names of the directories that the token may see. Otherwise all."
    )
    where: dict[str, Conditions] = Field(
        default={}, description="Conditions in SQL, by table: the token sees only rows that fulfil them."
    )

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        which = "A token" if self.name is None else f"The token {self.name!r}"
        if self.token is not None and self.token_sha256 is not None:
            raise wrong_reference(f"{which} has both token and token_sha256. Leave one of them out.")
        if self.token is None and self.token_sha256 is None:
            raise wrong_reference(
                f"{which} has neither token nor token_sha256. Give it one of them; `airflow-sync token new` makes both."
            )
        return self

    @property
    def digest(self) -> str:
        """The SHA-256 of the secret, as 64 hex digits."""
        return self.token_sha256 or token_digest(self.token or "")

    @property
    def entries(self) -> Mapping[str, str]:
        """The names of entries by the names under which the token sees them, if they may differ."""
        return self.tables if isinstance(self.tables, dict) else {}

    def __repr__(self) -> str:
        return f"Token(name={self.name!r}, token='***', tables={self.tables!r}, directories={self.directories!r})"


def list_of_tokens(tokens: Any) -> Any:
    """Take a text among ``tokens`` for the token itself.

    :raises PydanticCustomError: for what is no list
    """
    if not isinstance(tokens or [], (list, tuple)):
        # Of a text, each letter would be a token.
        raise wrong_reference('tokens must be a list. Write brackets around them: tokens: ["${SYNC_TOKEN}"].')
    return tuple({"token": entry} if isinstance(entry, str) else entry for entry in tokens or ())


def each_once(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Refuse a token or a name that occurs twice, since it would be unclear which entry applies."""
    digests: dict[str, int] = {}
    names: dict[str, int] = {}
    for position, token in enumerate(tokens):
        if (first := digests.setdefault(token.digest, position)) != position:
            raise wrong_reference(f"tokens[{position}] is the same token as tokens[{first}]. Remove one of them.")
        if token.name is not None and (first := names.setdefault(token.name, position)) != position:
            raise wrong_reference(
                f"tokens[{position}] has the name of tokens[{first}], {printable(token.name)!r}. Name them apart, for instance by"
                " the year."
            )
    return tokens


def sees_what_is_offered(token: Token, read: ValidationInfo) -> Token:
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
