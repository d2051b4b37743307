"""Decode the JSON body of a version 2 request; an error names the wrong field."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from airflow_provider_sync.printable import quoted, reason
from airflow_provider_sync.protocol.v1.requests import InvalidRequest

Message = TypeVar("Message", bound=msgspec.Struct)


def decode_json(body: bytes, kind: type[Message]) -> Message:
    """Decode the body of a request.

    :raises InvalidRequest: if it is not of this kind; the error names the first wrong field
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        # msgspec gives the place of the value only in its message. It is parsed for people only; no decision depends on it.
        said, at, place = str(error).rpartition(" - at `$")
        field = place.rstrip("`").removeprefix(".") if at else "body"
        raise invalid_field(field, f"{quoted(said if at else place)}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_field("body", f"{reason(error)}.") from error


def invalid_field(field: str, message: str) -> InvalidRequest:
    """Return the error for an invalid field of a request."""
    return InvalidRequest({field: [message]})
