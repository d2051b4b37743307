"""What a caller may see: the names of tables and directories, and conditions on rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_sync.config import Token
from airflow_provider_sync.config.source_tables import listed_conditions
from airflow_provider_sync.printable import printable


@dataclass(frozen=True, slots=True)
class Grant:
    """The names that one caller may see; any other name is answered as if it did not exist.

    :ivar tables: names, and patterns of names
    :ivar entries: names of the configuration's tables, by the names under which this caller sees them; empty if they are the same
    :ivar where: conditions that rows have to fulfil for this caller to see them, by the names of tables
    :ivar caller: tells callers apart: the digest of the token; empty where no token is needed
    :ivar name: what the log calls the token; empty where no token is needed
    :ivar expires: the last moment at which the token is valid, in UTC, if it has an end
    """

    tables: frozenset[str]
    directories: frozenset[str]
    entries: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caller: bytes = b""
    name: str = ""
    expires: datetime | None = None


def granted(token: Token, everything: Grant, position: int) -> Grant:
    """Return what a token may see.

    :param position: in the configuration, which stands in place of a name
    """
    return Grant(
        _only(everything.tables, token.tables),
        _only(everything.directories, token.directories),
        token.entries,
        {name: listed_conditions(where) for name, where in token.where.items()},
        caller=bytes.fromhex(token.digest),
        name=f"tokens[{position}]" if token.name is None else printable(token.name),
        expires=token.expires,
    )


def _only(names: frozenset[str], limits: Collection[str] | None) -> frozenset[str]:
    return names if limits is None else frozenset(limits)
