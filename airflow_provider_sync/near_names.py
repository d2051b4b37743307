"""Suggest an existing name that is similar to a missing one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_MAX_NAMES = 20_000
_MAX_CHARACTERS = 200
"""Longest name that is compared: a guess takes milliseconds for a thousand names, but a server could send huge ones."""


def near_name(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like ``name``, whatever the case of letters; ``None`` if none is like it."""
    by_folded = {known.casefold(): known for known in islice(names, _MAX_NAMES) if len(known) <= _MAX_CHARACTERS}
    near = get_close_matches(name[:_MAX_CHARACTERS].casefold(), by_folded, 1)
    return by_folded[near[0]] if near else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question that follows a sentence, as `` Did you mean 'orders'?``; empty if no name is like ``name``."""
    near = near_name(name, names)
    return "" if near is None else f" Did you mean {near!r}?"
