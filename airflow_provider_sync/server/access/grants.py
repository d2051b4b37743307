"""The tables, directories and rows that a caller may see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_sync.config import Token
from airflow_provider_sync.config.source_tables import listed_conditions
from airflow_provider_sync.printable import printable


@dataclass(frozen=True, slots=True)
class Grant:
    """The names that one caller may see; for any other name, the server answers as if it did not exist.

    :ivar tables: names, and patterns of names
    :ivar entries: names of the configuration's tables, by the names under which this caller sees them; empty if they are the same
    :ivar where: conditions on the rows that this caller may see, by table name
    :ivar caller: identity of the caller: the digest of the token; empty if no token is needed
    :ivar name: name of the token in the log; empty if no token is needed
    :ivar expires: the time at which the token expires, in UTC; ``None`` if it does not
    """

    tables: frozenset[str]
    directories: frozenset[str]
    entries: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caller: bytes = b""
    name: str = ""
    expires: datetime | None = None


def granted(token: Token, everything: Grant, position: int) -> Grant:
    """Return the grant of a token.

    :param position: position of the token in the configuration, used as its name if it has none
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
