"""Match table names against patterns with wildcards, and translate a matched name to another pattern.

``*`` matches any number of characters, ``?`` one; every other character matches itself, and case matters. The callers get the
names to match from a database or a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol, TypeVar

_WILDCARDS = frozenset("*?")


class _Entry(Protocol):
    @property
    def name(self) -> str:
        """What stands before the options: a name or a pattern."""

    @property
    def exclude(self) -> tuple[str, ...]:
        """Patterns of names that this one does not match."""


Entry = TypeVar("Entry", bound=_Entry)


def is_pattern(name: str) -> bool:
    """Whether a name has wildcards."""
    return not _WILDCARDS.isdisjoint(name)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern, or a name that equals it, matches a whole name."""
    return _backwards(pattern).fullmatch(name[::-1]) is not None


def same_wildcards(pattern: str, other: str) -> bool:
    """Whether two patterns have the same wildcards in the same order, so that a match of one makes a name of the other."""
    return _wildcards_of(pattern) == _wildcards_of(other)


def translated(name: str, pattern: str, other: str) -> str | None:
    """Return ``other`` with its wildcards replaced by the texts that those of ``pattern`` match in ``name``.

    ``shop.orders`` by ``shop.*`` and ``public.*`` is ``public.orders``.

    :param other: a pattern with :func:`same_wildcards`
    :return: ``None`` if ``pattern`` does not match
    """
    found = _backwards(pattern).fullmatch(name[::-1])
    if found is None:
        return None
    parts = (part[::-1] for part in reversed(found.groups()))
    return "".join(next(parts) if character in _WILDCARDS else character for character in other)


def is_excluded(name: str, exclude: Iterable[str]) -> bool:
    """Whether one of the patterns matches a name, or what follows its first dot: ``tmp_*`` excludes ``shop.tmp_1``, too."""
    forms = (name, name.partition(".")[2] or name)
    return any(matches(pattern, form) for pattern in exclude for form in forms)


def selects(entry: _Entry, name: str) -> bool:
    """Whether an entry with a pattern stands for a name."""
    return matches(entry.name, name) and not is_excluded(name, entry.exclude)


def entry_for(name: str, entries: Mapping[str, Entry]) -> Entry | None:
    """Return the entry whose options hold for a name: that of this name, or else the first whose pattern selects it.

    A name with wildcards only finds an entry of its own.
    """
    if name in entries or is_pattern(name):
        return entries.get(name)
    return next((entry for entry in entries.values() if is_pattern(entry.name) and selects(entry, name)), None)


@lru_cache(maxsize=1024)
def _backwards(pattern: str) -> re.Pattern[str]:
    """Return an expression for names read from their end, which takes linear time for every name, hostile ones included.

    The text between two stars has a fixed length, so that its last place in a name is as good as any before. Atomic groups
    prevent a search for those. Every star takes as much as it can, the first one before all others.
    """
    first, *others = map(_characters, pattern[::-1].split("*"))
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    return re.compile("".join([first, *(f"(?>(.*?){part})" for part in middle), "(.*)", last]), re.DOTALL)


def _characters(text: str) -> str:
    return "".join("(.)" if character == "?" else re.escape(character) for character in text)


def _wildcards_of(pattern: str) -> list[str]:
    return [character for character in pattern if character in _WILDCARDS]
