"""Read a server's answer to ``GET /capabilities``, which shows its version."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.printable import reason
from airflow_provider_sync.protocol.v1.json_text import count_strings
from airflow_provider_sync.protocol.v2.messages import Capabilities

_VERSION = 2
_MAX_BYTES = 4 * 1024 * 1024
_MAX_NAMES = 200_000


class _Announced(msgspec.Struct, frozen=True):
    protocol: int


def read_capabilities(body: Body) -> Capabilities | None:
    """Read the answer to ``GET capabilities``.

    :param body: with status 200, 404 or 405
    :return: ``None`` for a server of version 1, which has no such endpoint: it answers 404, 405, or a web page
    :raises ProtocolError: for JSON of another service, and for an unknown version
    """
    body.hurry()
    with body.response:
        if body.response.status_code != 200 or "html" in body.content_type:
            body.beginning()  # only after reading the body can the connection be reused
            return None
        text = b"".join(body.chunks(limit=_MAX_BYTES))
    if text.lstrip()[:1] == b"<":
        return None
    if count_strings(text) > _MAX_NAMES:
        raise ProtocolError(f"{body.url} offers more than {_MAX_NAMES} names. Is there a sync server?")
    try:
        version = msgspec.json.decode(text, type=_Announced).protocol
        if version == _VERSION:
            return msgspec.json.decode(text, type=Capabilities)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = reason(error)
        raise ProtocolError(f"{body.url} did not answer with what a sync server offers: {told}. Check the URL.") from error
    raise ProtocolError(f"The server speaks version {version} of the protocol, not {_VERSION}. Set protocol to 1, or upgrade.")
