"""Stream messages about files: make the next one while the previous is sent, and send keep-alives if one takes long."""

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
    """Respond with a stream of messages; an error before the first message becomes an error response.

    :param accept: ``Accept`` header of the request
    :param directory: name of the directory
    :param what: the kind of content, for the log
    :param idle: the keep-alive, a message without items
    :param compressions: the allowed compressions
    """
    active.account.about_directory(directory)
    ahead = work_ahead(active.account.counting_files(groups), idle=(idle,))
    return stream_messages(write_file_messages, ahead, accept, active, what=what, compressions=compressions)
