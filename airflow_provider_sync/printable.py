"""Text that somebody else wrote, made fit for one line of a log, a terminal or a message.

The other half, a database or a file system may put anything into a name or a message: line breaks that forge lines of a log,
escape codes that rewrite a terminal, marks that turn the direction of writing, or megabytes.
"""

from __future__ import annotations

MAX_CHARACTERS = 500
"""Most characters of a text that are shown unless the caller says otherwise."""

MAX_QUOTED = 300
"""Most characters of what a server says in its own words."""

MAX_MESSAGE = 50_000
"""Most characters of a whole message: a CREATE TABLE of a thousand columns."""


def printable(text: object, limit: int = MAX_CHARACTERS) -> str:
    r"""Return a text on one line, with every character that is not printable as its escape, such as ``\n`` or ``\x1b``.

    Letters of all scripts stay as they are. Control characters, marks of direction, line separators, halves of surrogate
    pairs and spaces other than the usual one do not.

    :param text: anything; what is no text is shown as ``str`` has it
    :param limit: most characters of ``text`` that are shown; ``…`` stands for the rest
    """
    # Cut first: a text of megabytes is not worth looking at.
    whole = str(text)
    shown = whole[:limit]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else _escaped(character) for character in shown)
    return shown if len(whole) <= limit else f"{shown}…"


def reason(error: BaseException, otherwise: str = "no reason was given", limit: int = MAX_CHARACTERS) -> str:
    """Return what an error says, on one line and without a full stop at its end.

    :param otherwise: for an error that says nothing; the name of its class would say nothing to a user either
    """
    return printable(" ".join(str(error).split()), limit).rstrip(".") or otherwise


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable_lines(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return a text with its line breaks, and otherwise as :func:`printable` has it.

    :param limit: most characters of ``text`` that are shown
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = "\n".join(printable(line, limit) for line in text[:limit].split("\n"))
    return shown if len(text) <= limit else f"{shown}…"


def quoted(text: str, limit: int = MAX_QUOTED) -> str:
    """Return somebody's own words on one line, with a single space for whatever space was between them."""
    # Cut first: splitting megabytes takes a multiple of them.
    cut = text[: 4 * limit]
    words = printable(" ".join(cut.split()), limit)
    return words if len(cut) == len(text) or words.endswith("…") else f"{words}…"
