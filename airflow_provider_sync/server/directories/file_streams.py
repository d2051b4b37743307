"""Send messages about files: made ahead while others are sent, with keep-alives while one takes long."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from starlette.responses import Response

from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.file_messages import FileMessage
from airflow_provider_sync.protocol.v2.framing import FramedContent
from airflow_provider_sync.protocol.v2.stream import write_file_messages
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.streaming import stream_messages, work_ahead

Groups = Generator[Sequence[FileMessage | FramedContent], None, None]
"""Messages that are sent together."""


def stream_files(
    groups: Groups,
    accept: str,
    active: ActiveRequest,
    *,
    directory: str,
    what: str,
    idle: FileMessage,
    compressions: Sequence[str] = COMPRESSIONS,
) -> Response:
    """Answer with messages; an error before the first of them becomes an answer of its own.

    :param accept: header of the request
    :param directory: name of the directory
    :param what: what is sent, for the log
    :param idle: the keep-alive, a message without items
    :param compressions: those that the answer may have
    """
    active.account.about_directory(directory)
    ahead = work_ahead(active.account.counting_files(groups), idle=(idle,))
    return stream_messages(write_file_messages, ahead, accept, active, what=what, compressions=compressions)
