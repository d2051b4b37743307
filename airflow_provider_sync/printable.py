"""Make text from others safe to show on one line of a log, a terminal or a message.

The other server, a database or a file system may put anything into a name or a message: line breaks that forge lines of a log,
escape codes that control a terminal, marks that reverse the direction of writing, or megabytes.
"""

from __future__ import annotations

import traceback

MAX_CHARACTERS = 500
"""Longest text that is shown, in characters, unless the caller says otherwise."""

MAX_QUOTED = 300
"""Longest quotation of a server's own words, in characters."""

MAX_MESSAGE = 50_000
"""Longest message, in characters: enough for a CREATE TABLE of a thousand columns."""


def printable(text: object, limit: int = MAX_CHARACTERS) -> str:
    r"""Return a text on one line, with every character that is not printable as its escape, such as ``\n`` or ``\x1b``.

    Letters of all scripts stay as they are. Escaped are control characters, marks of direction, line separators, halves of
    surrogate pairs, and spaces other than U+0020.

    :param text: anything; a value that is not text is converted by ``str``
    :param limit: number of characters of ``text`` that are shown; ``…`` stands for the rest
    """
    # Cut first: escaping a text of megabytes would take long.
    whole = str(text)
    shown = whole[:limit]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else _escaped(character) for character in shown)
    return shown if len(whole) <= limit else f"{shown}…"


def reason(error: BaseException) -> str:
    """Return an error's message on one line, without a full stop at its end.

    An error without a message gives "no reason was given", since the name of its class would mean nothing to a user. For
    SQLAlchemy's errors it is the driver's message, without the statement and the link to SQLAlchemy's documentation.
    """
    driver_error = getattr(error, "orig", None)
    text = str(driver_error if isinstance(driver_error, BaseException) else error)
    return quoted(text.partition("(Background on this error at:")[0], MAX_CHARACTERS).rstrip(".") or "no reason was given"


def with_notes(error: BaseException) -> str:
    """Return an error's message with its notes, which may only be shown to those who may see the log or the configuration."""
    return " ".join([str(error), *getattr(error, "__notes__", ())])


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable_lines(text: str) -> str:
    """Escape a text like :func:`printable`, but keep its line breaks; at most :data:`MAX_MESSAGE` characters are shown."""
    if len(text) <= MAX_MESSAGE and text.isprintable():
        return text
    shown = "\n".join(printable(line, MAX_MESSAGE) for line in text[:MAX_MESSAGE].split("\n"))
    return shown if len(text) <= MAX_MESSAGE else f"{shown}…"


def printable_traceback(error: BaseException) -> str:
    """Return an error's traceback as lines without escape codes; of a very long one the end, which has the error itself.

    Errors of libraries quote what a server sent as it is.
    """
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return printable_lines(text if len(text) <= MAX_MESSAGE else f"…{text[1 - MAX_MESSAGE :]}")


def quoted(text: str, limit: int = MAX_QUOTED) -> str:
    """Return a quotation on one line, with single spaces between its words."""
    # Cut first: splitting a text of megabytes takes several times its memory.
    cut = text[: 4 * limit]
    words = printable(" ".join(cut.split()), limit)
    return words if len(cut) == len(text) or words.endswith("…") else f"{words}…"
