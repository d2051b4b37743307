"""Check SQL that an administrator wrote into the configuration, before it becomes a part of a statement. No I/O.

The SQL is trusted: the check finds mistakes, such as a second statement or an extra parenthesis, which would change the
surrounding statement. The read-only transaction in which a query runs limits what it can do.
"""

from __future__ import annotations

import re

import msgspec

_WRITES = re.compile(r"(INSERT|UPDATE|DELETE|MERGE|REPLACE|TRUNCATE|CREATE|ALTER|DROP|CALL|DO|SET)\b", re.IGNORECASE)
_READS = re.compile(r"(SELECT|WITH|VALUES|TABLE)\b|\(", re.IGNORECASE)
_DOLLAR_QUOTE = re.compile(r"\$(?:[A-Za-z_]\w*)?\$")
_ESCAPING_STRING = re.compile(r"[eE]'")


class Syntax(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine writes quotes and comments.

    :ivar quotes: characters that begin and end a string or a name; ``[`` ends with ``]``
    :ivar backslashes: whether a backslash escapes a quote in a string
    :ivar hash_comments: whether ``#`` begins a comment
    :ivar dollar_quotes: whether ``$tag$`` begins and ends a string, and ``E'`` begins one with backslash escapes
    :ivar nested_comments: whether comments nest
    :ivar code_comments: whether the text in ``/*! … */`` is executed
    """

    quotes: str = "'\""
    backslashes: bool = False
    hash_comments: bool = False
    dollar_quotes: bool = False
    nested_comments: bool = False
    code_comments: bool = False


def find_mistake_in_query(text: str, syntax: Syntax) -> str | None:
    """Return why a text is not one read-only SELECT, as the end of a sentence that begins with the option; ``None`` if it is."""
    if written := _WRITES.match(text.lstrip()):
        return f"begins with {written[0].upper()}, and may only read. Give one SELECT"
    if not _READS.match(text.lstrip()):
        return "is no query. Give one SELECT"
    return find_mistake(text, syntax)


def find_mistake(text: str, syntax: Syntax) -> str | None:
    """Return why a text is not one complete SQL expression, as the end of a sentence that begins with the option, or ``None``."""
    depth = place = 0
    while place < len(text):
        if (end := _skip(text, place, syntax)) is not None:
            if end < 0:
                return f"has {text[place : place + 2]!r} that begins a quote or a comment, which does not end. Close it"
            place = end
            continue
        match text[place]:
            case ";":
                return "has a semicolon, so that it is several statements. Give one, without a semicolon"
            case "(":
                depth += 1
            case ")":
                depth -= 1
                if depth < 0:
                    return "closes a parenthesis that it does not open. Remove it"
        if syntax.code_comments and text.startswith(("/*!", "/*M!"), place):
            return "has a comment that the database runs. Write its content without the comment"
        place += 1
    return "opens a parenthesis that it does not close. Close it" if depth else None


def _skip(text: str, place: int, syntax: Syntax) -> int | None:
    """Return the end of the quote or comment that begins at ``place``, -1 if it is not closed; ``None`` if none begins there."""
    if text.startswith("--", place) or (syntax.hash_comments and text[place] == "#"):
        end = text.find("\n", place)
        return len(text) if end < 0 else end
    if text.startswith("/*", place):
        if syntax.code_comments and text.startswith(("/*!", "/*M!"), place):
            return None
        return _end_of_comment(text, place, nested=syntax.nested_comments)
    if syntax.dollar_quotes and not _in_word(text, place) and (tag := _DOLLAR_QUOTE.match(text, place)):
        end = text.find(tag[0], tag.end())
        return end if end < 0 else end + len(tag[0])
    if syntax.dollar_quotes and _ESCAPING_STRING.match(text, place) and not _in_word(text, place):
        return _end_of_quote(text, place + 1, "'", backslashes=True)
    if text[place] in syntax.quotes:
        closing = "]" if text[place] == "[" else text[place]
        return _end_of_quote(text, place, closing, backslashes=syntax.backslashes and text[place] in "'\"")
    return None


def _in_word(text: str, place: int) -> bool:
    return place > 0 and (text[place - 1].isalnum() or text[place - 1] in "_$")


def _end_of_comment(text: str, place: int, *, nested: bool) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, place):
        depth = depth - 1 if mark[0] == "*/" else depth + 1 if nested else 1
        if not depth:
            return mark.end()
    return -1


def _end_of_quote(text: str, place: int, closing: str, *, backslashes: bool) -> int:
    place += 1
    while place < len(text):
        if backslashes and text[place] == "\\":
            place += 2
        elif text[place] != closing:
            place += 1
        elif text.startswith(closing, place + 1):
            place += 2
        else:
            return place + 1
    return -1
