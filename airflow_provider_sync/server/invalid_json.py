"""Find which value of a JSON document has the wrong type. msgspec says it in its message only, and no message is parsed here."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Invalid(NamedTuple):
    """A value that is not what it should be.

    :ivar place: where it is, as ``table_slice.columns[1]``; empty for the whole document
    :ivar error: what is wrong with it, by itself
    """

    place: str
    error: msgspec.ValidationError


def find_invalid(document: bytes | msgspec.Raw, kind: Any) -> Invalid | None:
    """Return the innermost value that is wrong, the first one in the order of the fields.

    Text that is not JSON, or not UTF-8, is no such value.

    :param document: decoded one level at a time, so that no more is in memory than of ``kind`` itself
    :param kind: what it should be: a struct, a tuple of one type or of several, ``None`` or one of these, or a plain type
    """
    try:
        msgspec.json.decode(document, type=kind)
    except msgspec.ValidationError as error:
        for step, part, part_kind in _parts(document, kind):
            if (found := find_invalid(part, part_kind)) is not None:
                return Invalid(_joined(step, found.place), found.error)
        return Invalid("", error)
    except _MALFORMED:
        return None
    return None


def _joined(step: str, place: str) -> str:
    return f"{step}.{place}" if step and place and not place.startswith("[") else f"{step}{place}"


def _parts(document: bytes | msgspec.Raw, kind: Any) -> Iterator[tuple[str, msgspec.Raw, Any]]:
    """Yield the values right below a document, each with its place there and what it should be; nothing for what has none."""
    origin, arguments = get_origin(kind), get_args(kind)
    try:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            values = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
            for field in msgspec.structs.fields(kind):
                if field.encode_name in values:
                    yield field.encode_name, values[field.encode_name], field.type
        elif origin is tuple:
            items = msgspec.json.decode(document, type=list[msgspec.Raw])
            kinds = [arguments[0]] * len(items) if arguments[1:] == (...,) else arguments
            if len(kinds) == len(items):
                for number, (item, item_kind) in enumerate(zip(items, kinds, strict=True)):
                    yield f"[{number}]", item, item_kind
        elif origin is Annotated:
            yield from _parts(document, arguments[0])
        elif origin in (Union, UnionType):
            for option in arguments:
                if option is not NoneType:
                    yield from _parts(document, option)
    except _MALFORMED:
        return  # not even of that shape, which is what is wrong with the whole of it
