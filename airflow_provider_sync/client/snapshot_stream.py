"""The answer of version 2 that lasts as long as a snapshot is held: the snapshot's name, and then nothing but keep-alives."""

from __future__ import annotations

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.message_stream import MessageStream, unexpected
from airflow_provider_sync.protocol.v2.messages import SnapshotHeld
from airflow_provider_sync.protocol.v2.stream import read_messages

_MAX_BYTES = 16 * 1024


class SnapshotAnswer(MessageStream):
    """The answer to ``holdSnapshot``. While it is open, the server holds the snapshot; nothing more is read of it.

    :ivar snapshot: the name of the snapshot
    """

    def __init__(self, body: Body) -> None:
        super().__init__(body, "The snapshot of all tables")
        # Kept, because a reader that is collected closes the connection, and so the server would end the snapshot.
        self._messages = read_messages(body.chunks(limit=_MAX_BYTES), self.compression, limit=_MAX_BYTES)
        with self._with_subject():
            message = next(self._messages, None)
            if not isinstance(message, SnapshotHeld):
                raise unexpected(message, "the name of a snapshot")
        self.snapshot = message.snapshot
