"""What is wrong with an option, in the words of whoever wrote it: from the messages of msgspec, which speak of types.

Which options there are is for `config`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLACE = r"(?: - at `\$\.?(?P<place>.*)`)?"
_UNKNOWN = re.compile(rf"Object contains unknown field `(?P<name>.*?)`{_PLACE}", re.DOTALL)
_MISSING = re.compile(rf"Object missing required field `(?P<name>.*?)`{_PLACE}", re.DOTALL)
_LENGTH = re.compile(rf"Expected `array` of length (?P<wanted>\d+), got (?P<given>\d+){_PLACE}", re.DOTALL)
_TYPE = re.compile(rf"Expected `(?P<wanted>.*?)`, got `(?P<given>.*?)`{_PLACE}", re.DOTALL)

_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "empty",
    "object": "a mapping",
    "str": "text",
}


def explain(message: str, *, options: Iterable[str]) -> str:
    """Say what is wrong, and what there may be instead.

    :param message: of a ``msgspec.ValidationError``
    :param options: those that may stand at the top of what was read
    """
    if found := _UNKNOWN.fullmatch(message):
        where = f"{found['place']}: " if found["place"] else ""
        known = "" if where else f" There are: {', '.join(options)}."
        return f"{where}there is no option {found['name']!r}.{known}"
    if found := _MISSING.fullmatch(message):
        where = f"{found['place']}: " if found["place"] else ""
        return f"{where}{found['name']!r} is missing. Give it a value."
    if found := _LENGTH.fullmatch(message):
        return f"{_subject(found['place'])} must be a list of {found['wanted']}, not of {found['given']}."
    if found := _TYPE.fullmatch(message):
        wanted = [_WORDS.get(kind, kind) for kind in found["wanted"].split(" | ") if kind != "null"]
        return f"{_subject(found['place'])} must be {' or '.join(wanted)}, not {_WORDS.get(found['given'], found['given'])}."
    return message


def _subject(place: str | None) -> str:
    # Of a mapping msgspec tells neither the key nor its place.
    return (place or "It").replace("[...]", ": each value")
