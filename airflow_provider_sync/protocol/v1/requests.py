"""Check and write the fields of requests of version 1.

Rules, wording and order of the error messages are those of existing servers, since clients may show them to their
users. :mod:`airflow_provider_sync.protocol.v1.fields` parses a body into fields.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from airflow_provider_sync.protocol.v1 import MAX_NAME

# The characters that existing servers trim: Unicode white space, and invisible marks that are not white space.
_BLANK = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\0\u180e\u200b\u200e\ufeff"
)

UNKNOWN_TABLE = "Config name not in sync-server.tables"
UNKNOWN_DIRECTORY = "Config name not in sync-server.directories"
"""The exact messages of every server of version 1 for an unknown name; the protocol has no error codes."""


class InvalidRequest(Exception):  # not a SyncError: the server turns it into an answer
    """The fields of a request break a rule; the server answers 422 with :attr:`errors` as JSON.

    :param errors: messages by field name, in the order of the fields
    """

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(message for messages in errors.values() for message in messages))
        self.errors = {field: list(messages) for field, messages in errors.items()}


def table_hash_request(fields: Mapping[str, Any], tables: Container[str]) -> str:
    """Return the table name in a request for ``/getTableHash``.

    :param tables: names of the tables that this client may read
    :raises InvalidRequest: when the fields break a rule
    """
    name, messages = _config_name(fields, tables, UNKNOWN_TABLE, limit=MAX_NAME)
    _refuse({"config_name": messages})
    return name


def table_request(fields: Mapping[str, Any], tables: Container[str]) -> tuple[str, str | None]:
    """Return the table name in a request for ``/getTable``, and the hash of the client's table if the client sent it.

    :raises InvalidRequest: when the fields break a rule
    """
    name, messages = _config_name(fields, tables, UNKNOWN_TABLE, limit=MAX_NAME)
    value = _trimmed(fields.get("hash"))
    _refuse({"config_name": messages, "hash": _text_messages("hash", value, limit=MAX_NAME) if "hash" in fields else []})
    # Existing servers treat "0" as no hash, as PHP does.
    return name, value if value and value != "0" else None


def file_hashes_request(fields: Mapping[str, Any], directories: Container[str]) -> str:
    """Return the directory name in a request for ``/getFileHashes``.

    :raises InvalidRequest: when the fields break a rule
    """
    name, messages = _config_name(fields, directories, UNKNOWN_DIRECTORY)
    _refuse({"config_name": messages})
    return name


def files_request(fields: Mapping[str, Any], directories: Container[str]) -> tuple[str, list[str]]:
    """Return the directory name in a request for ``/getFiles``, and the requested paths in their order.

    Paths are not trimmed, unlike on existing servers, which cannot send a file whose name begins or ends with a space.

    :raises InvalidRequest: when the fields break a rule
    """
    name, messages = _config_name(fields, directories, UNKNOWN_DIRECTORY)
    files = fields.get("files")
    errors = {"config_name": messages}
    paths: list[str] = []
    if _missing(_trimmed(files)):
        errors["files"] = [_required("files")]
    elif not isinstance(files, (list, dict)):
        errors["files"] = ["The files field must be an array."]
    else:
        entries = files.items() if isinstance(files, dict) else enumerate(files)
        for key, path in entries:
            field = f"files.{key}"
            errors[field] = [_required(field)] if _missing(path) else _text_messages(field, path)
            paths.append(path)
    _refuse(errors)
    return name, paths


def table_fields(name: str, hash: str | None = None) -> list[tuple[str, str]]:  # noqa: A002  # the name of the field
    """Return the fields with which a client asks for a table, or for its hash.

    :param hash: the hash of the client's table; the server answers 304 if the source has the same
    """
    return [("config_name", name), *([("hash", hash)] if hash is not None else [])]


UNREADABLE = ("unreadable", "list")
"""The field with which this package's client asks for the names of unreadable files instead of an error.

Existing servers ignore it. Existing clients do not send it and get the error, since they delete files that are not listed."""


def file_fields(name: str, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Return the fields with which a client asks for the files at ``paths``, or, without paths, for their hashes."""
    return [("config_name", name), *((f"files[{number}]", path) for number, path in enumerate(paths))]


def _config_name(
    fields: Mapping[str, Any], known: Container[str], unknown: str, *, limit: int | None = None
) -> tuple[str, list[str]]:
    name = fields.get("config_name")
    if not isinstance(name, str) or name not in known:
        # A configured name may begin or end with a blank; existing servers cannot serve such a table.
        name = _trimmed(name)
    if _missing(name):
        return "", [_required("config_name")]
    messages = _text_messages("config_name", name, limit=limit)
    if not isinstance(name, str) or name not in known:
        messages.append(unknown)
    return name, messages


def _text_messages(field: str, value: Any, *, limit: int | None = None) -> list[str]:
    messages = [] if isinstance(value, str) else [f"The {_label(field)} field must be a string."]
    if limit is not None and isinstance(value, (str, list, dict)) and len(value) > limit:
        messages.append(f"The {_label(field)} field must not be greater than {limit} characters.")
    return messages


def _required(field: str) -> str:
    return f"The {_label(field)} field is required."


def _label(field: str) -> str:
    return field.replace("_", " ")


def _trimmed(value: Any) -> Any:
    return (value.strip(_BLANK) or None) if isinstance(value, str) else value


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def _refuse(errors: Mapping[str, Sequence[str]]) -> None:
    found = {field: messages for field, messages in errors.items() if messages}
    if found:
        raise InvalidRequest(found)
