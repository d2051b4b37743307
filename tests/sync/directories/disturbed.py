"""Clients of a real server to which things happen at a moment that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.file_streams import ContentAnswer, FileDigestsAnswer
from airflow_provider_sync.exceptions import IncompleteStreamError
from airflow_provider_sync.protocol.v2.file_messages import Content, ContentFailed, DigestFiles, ReadFiles
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync import sync_directory
from tests.sync.directories.mirror import Mirror, target_directory


class DisturbedClient(SyncClient):
    """A client that is disturbed.

    :ivar before_read: called with the paths before content is asked for
    :ivar before_digest: called with the paths before digests are asked for
    :ivar on_message: called with the path before a message of content is handed on
    """

    before_read: Callable[[list[str]], object] = staticmethod(lambda paths: None)
    before_digest: Callable[[list[str]], object] = staticmethod(lambda paths: None)
    on_message: Callable[[str], object] = staticmethod(lambda path: None)

    def read_files(self, request: ReadFiles, *, repeat: bool = True) -> ContentAnswer:
        """Act, then ask."""
        paths = [file.path for file in request.files]
        self.before_read(paths)
        return _DisturbedAnswer(super().read_files(request, repeat=repeat), paths, self.on_message)  # type: ignore[return-value]

    def digest_files(self, request: DigestFiles) -> FileDigestsAnswer:
        """Act, then ask."""
        self.before_digest(list(request.paths))
        return super().digest_files(request)


class _DisturbedAnswer:
    """An answer between whose messages something happens."""

    def __init__(self, answer: ContentAnswer, paths: list[str], on_message: Callable[[str], object]) -> None:
        self._answer = answer
        self._paths = paths
        self._on_message = on_message

    def __enter__(self) -> Self:
        self._answer.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._answer.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Content | ContentFailed]:
        for message in self._answer:
            self._on_message(self._paths[message.number])
            yield message


def cut_at(*paths: str) -> Callable[[str], None]:
    """Return what breaks the connection at each of these files, as often as they are asked for."""

    def cut(path: str) -> None:
        if path in paths:
            raise IncompleteStreamError("The connection broke.")

    return cut


def sync_with(
    mirror: Mirror, options: dict[str, Any] | None = None, *, retries: int = 0, **disturbances: Callable[..., object]
) -> DirectoryReport:
    """Sync by a client that is disturbed.

    :param disturbances: attributes of :class:`DisturbedClient`
    """
    with (
        mirror.client() as client,
        DisturbedClient(client.url, retries=retries) as disturbed,
        mirror.opened_cache() as cache,
    ):
        for name, disturbance in disturbances.items():
            setattr(disturbed, name, disturbance)
        return sync_directory(disturbed, target_directory(options), mirror.target, cache=cache)
