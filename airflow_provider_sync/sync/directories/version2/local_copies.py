"""Make files from content that the target already has under another name, so that a renamed directory is not fetched again.

Content that the source has under several names (hard links) is fetched only once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.hard_links import HardLinks
from airflow_provider_sync.sync.directories.version2.large_files import is_large
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

MAX_REMOVED = 100_000
"""Maximum number of files to remove that are searched for the content of new files."""

_BATCH = 4_096
_MAX_FOUND = 8
"""Maximum number of target files with equal content that are tried before the file is fetched."""


class LocalCopies:
    """The local copies of one directory sync.

    :param moves: whether the sync will delete the files in ``removed``, so that they can be moved instead of copied
    :param checks_versions: whether the writer works on the files that the cache knows, and not on copies of them
    :param hard_links: the files with several names
    """

    def __init__(
        self,
        source: SourceDirectory,
        target: OpenTarget,
        hard_links: HardLinks,
        *,
        moves: bool,
        checks_versions: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._hard_links = hard_links
        self._moves = moves
        self._checks_versions = checks_versions
        self._removed: dict[tuple[bytes, int], list[TreeEntry]] = {}

    def run(self, work: Work, large_sizes: set[int], rest: SpooledList[Step]) -> None:
        """Make the files whose content the target has.

        :param large_sizes: sizes of the target's large files
        :param rest: collects the files to fetch; other names of them are left to :meth:`copy_hard_links`
        :raises FileError: for an error that concerns more than one file
        """
        for step in islice(work.removed, MAX_REMOVED):
            entry = step.target
            if entry is not None and entry.size and entry.digest is not None:
                self._removed.setdefault((entry.digest, entry.size), []).append(entry)
        sizes = large_sizes | {size for _, size in self._removed}
        steps = iter(work.files)
        while taken := list(islice(steps, _BATCH)):
            batch = [step for step in taken if not self._hard_links.leave(step)]
            digests = self._ask([step for step in batch if _may_be_here(step, sizes)])
            for step in batch:
                if not self._make(step, digests):
                    rest.append(step)

    def copy_hard_links(self) -> list[Step]:
        """Make the other names of fetched files; return those that have to be fetched after all.

        :raises FileError: for an error that concerns more than one file
        """
        return [step for step, present in self._hard_links.left() if present is None or not self._copy(step, present)]

    def _ask(self, steps: Sequence[Step]) -> dict[str, bytes]:
        """Request the digests of files whose size equals that of some target file."""
        unknown = [step.path for step in steps if step.source is not None and step.source.digest is None]
        if not unknown:
            return {}

        def ask() -> dict[str, bytes]:
            with self._source.digest_files(unknown) as answer:
                return {path: found.digest for path, found in answer if found.digest is not None}

        return repeated(self._source.client, ask)

    def _make(self, step: Step, digests: dict[str, bytes]) -> bool:
        """Make a file if some file of the target has its content; return whether it was made."""
        entry = step.source
        digest = None if entry is None else entry.digest or digests.get(entry.path)
        if entry is None or digest is None or not entry.size:
            return False
        for found, move in self._candidates(step, digest, entry.size):
            if found.path != entry.path and self._copy(step, found.with_digest(digest), move=move):
                return True
        return False

    def _copy(self, step: Step, present: TreeEntry, *, move: bool = False) -> bool:
        """Copy a file of the target; return whether that was possible.

        :param present: the target's file, with its digest
        """
        if step.source is None or present.digest is None:
            return False
        metadata = self._target.metadata_of(step.source)
        try:
            version = present.version if self._checks_versions else None
            self._target.writer.copy(step.path, present.path, metadata, move=move, version=version)
        except FileError as error:
            if not is_about_one_file(error.__cause__):
                raise
            return False
        self._target.written.expect(step, present.digest, is_local=True)
        self._target.outcome.moved += 1
        return True

    def _candidates(self, step: Step, digest: bytes, size: int) -> Iterator[tuple[TreeEntry, bool]]:
        removed = self._removed.get((digest, size), [])
        while removed:
            # A second name for the same file would be a hard link, not a copy.
            yield removed.pop(), self._moves
        if step.action == "added" or is_large(step):
            for entry in islice(self._target.root.find(digest, size), _MAX_FOUND):
                yield entry, False


def _may_be_here(step: Step, sizes: Collection[int]) -> bool:
    """Tell whether the target may have a file's content: a file of that size, or an unchanged other name of the file."""
    return step.source is not None and (step.source.size in sizes or step.source.same_as is not None)
