"""Keep one directory in step: compare manifests, download what differs, delete last.

Nothing is deleted unless every download succeeded, and every file appears under its name only when it is whole and
has the digest that the source announced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import DEFAULT_FILES_PER_REQUEST, TargetDirectory
from airflow_provider_sync.exceptions import FileChangedError, IncompleteStreamError, ServerError, SyncError, SyncFailed
from airflow_provider_sync.files import (
    Changes,
    NoneHasher,
    Selection,
    Storage,
    StreamDigest,
    build_manifest,
    case_clashes,
    compare,
    load_hasher,
)
from airflow_provider_sync.protocol.v1.frames import Frame
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.broken_bodies import BodyRetries
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.measure import Measure
from airflow_provider_sync.sync.progress import Progress, silent
from airflow_provider_sync.sync.source_files import SourceFiles
from airflow_provider_sync.sync.time_limit import within_max_seconds

LOCK_TIMEOUT = 60.0
ROUNDS = 3
"""How often files that changed at the source meanwhile are asked for before the sync gives up."""


@within_max_seconds
def sync_directory(
    client: SyncClient,
    directory: TargetDirectory,
    storage: Storage,
    *,
    dry_run: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    progress: Progress | None = None,
) -> DirectoryReport:
    """Make ``storage`` equal to the directory that the server offers under ``directory.name``.

    :param dry_run: report what would change, and write nothing
    :param lock_timeout: seconds to wait for another sync of the same directory
    :param progress: told of files and bytes
    :raises SyncFailed: with the report of the failure; what was downloaded until then stays, nothing was deleted
    """
    measure = Measure(client)
    bytes_written = 0
    try:
        sync = DirectorySync(client, directory, storage, progress or silent)
        try:
            return sync.run(measure, dry_run, lock_timeout)
        finally:
            bytes_written = sync.bytes_written
    except SyncError as error:
        report = DirectoryReport(
            name=directory.name, status="failed", error=str(error), bytes_written=bytes_written, **measure.so_far()
        )
        raise SyncFailed(str(error), (report,), error.retryable) from error


@within_max_seconds
def directory_differs(client: SyncClient, directory: TargetDirectory, storage: Storage) -> bool:
    """Whether a sync would change anything; nothing is downloaded.

    A source without digests (hasher ``none``) counts as changed as soon as it has files.
    """
    sync = DirectorySync(client, directory, storage, silent)
    return bool(sync.compare(sync.source_manifest()))


class DirectorySync:
    """One sync of one directory.

    :param selection: the files that it is about; by default what the options say
    :ivar bytes_written: content written to the target
    """

    def __init__(
        self,
        client: SyncClient,
        directory: TargetDirectory,
        storage: Storage,
        progress: Progress,
        selection: Selection | None = None,
    ) -> None:
        self.directory = directory
        self.storage = storage
        self.progress = progress
        self.hasher = load_hasher(directory.hasher or "md5")
        self.selection = selection or Selection(directory.include, directory.exclude)
        self.source = SourceFiles(client, directory.name, directory.prefix, self.selection)
        self.bytes_written = 0
        self.files_written = 0
        self.files_wanted = 0

    def run(self, measure: Measure, dry_run: bool, lock_timeout: float) -> DirectoryReport:
        """Do all that there is to do, and report it."""
        # Taking the lock makes a missing root, and a dry run writes nothing.
        with nullcontext() if dry_run else self.storage.exclusive(lock_timeout):
            if not dry_run:
                self.storage.clean(0)
            source = self.source_manifest()
            changes = self.compare(source)
            self.check(source, changes)
            if changes and not dry_run:
                self.download(source, [*changes.added, *changes.changed], changes.obstacles)
                for path in changes.removed:
                    self.storage.delete(path)
                self.storage.flush()
            return DirectoryReport(
                name=self.directory.name,
                status=("planned" if dry_run else "changed") if changes else "unchanged",
                files_total=len(source),
                files_added=len(changes.added),
                files_updated=len(changes.changed),
                files_deleted=len(changes.removed),
                bytes_written=self.bytes_written,
                verified="hash" if self.has_digests(source) and not (dry_run and changes) else None,
                warnings=self.warnings(source),
                **measure.so_far(),
            )

    def source_manifest(self) -> dict[str, str]:
        """Ask the source for its files, names checked, patterns applied."""
        return self.source.manifest()

    def compare(self, source: dict[str, str]) -> Changes:
        """Compare the source's manifest with the target's files."""
        return compare(source, build_manifest(self.storage, self.hasher, self.selection, missing_ok=True))

    def check(self, source: Mapping[str, str], changes: Changes) -> None:
        """Refuse to delete more than the options allow.

        :raises GuardError: naming the option that allows it
        """
        present = len(changes.removed) + len(changes.changed) + changes.unchanged
        check_deletes(self.directory, deletes=len(changes.removed), present=present, offered=len(source), unit="files")

    def download(self, source: dict[str, str], wanted: Sequence[str], obstacles: Collection[str]) -> None:
        """Download the files, asking again for those that the source changed meanwhile.

        :param source: the source's manifest
        :param obstacles: files of the target that may go where they stand in the way
        :raises FileChangedError: for a file that never stood still
        """
        self.files_wanted = len(wanted)
        digests = source
        for _ in range(ROUNDS):
            wanted = self._download_once(digests, wanted, obstacles)
            if not wanted:
                return
            digests = self._manifest_with(wanted)
        raise FileChangedError(
            f"{wanted[0]!r} of {self.directory.name!r} changed each of the {ROUNDS} times that it was downloaded."
            " Nothing was deleted; run it again when the source is quiet."
        )

    def _manifest_with(self, wanted: Sequence[str]) -> dict[str, str]:
        """Ask for the manifest again.

        :raises FileChangedError: when one of ``wanted`` is no longer in it
        """
        manifest = self.source_manifest()
        for path in wanted:
            if path not in manifest:
                raise FileChangedError(
                    f"{path!r} was removed from {self.directory.name!r} during the sync. Nothing was deleted; run it again."
                )
        return manifest

    def _download_once(self, digests: dict[str, str], wanted: Sequence[str], obstacles: Collection[str]) -> list[str]:
        """Download the files in batches; return those whose content was not what the manifest announced."""
        moved = []
        remaining = list(wanted)
        retries = BodyRetries(self.source.client)
        while remaining:
            batch = remaining[: self._batch_size()]
            done = 0
            try:
                with self.source.get(batch) as frames:
                    for frame in frames:
                        if not self._write(frame, digests[frame.path], obstacles):
                            moved.append(frame.path)
                        done += 1
            except IncompleteStreamError as error:
                if done:
                    retries.progress()
                else:
                    retries.pause(error)
            except ServerError:
                # Most likely for a file that is gone, which is nothing that an administrator has to look after.
                self._manifest_with(batch)
                raise
            remaining = remaining[done:]
        return moved

    def _batch_size(self) -> int:
        """Files to ask for at once: the configured number, fewer where the files seen so far are large."""
        most = self.directory.files_per_request or DEFAULT_FILES_PER_REQUEST
        if not self.files_written or not self.bytes_written:
            return most
        return max(1, min(most, self.directory.bytes_per_request * self.files_written // self.bytes_written))

    def _write(self, frame: Frame, announced: str, obstacles: Collection[str]) -> bool:
        """Write one file; leave the target as it was and return ``False`` when its digest is not the announced one.

        Where one side has no digests (hasher ``none``), the size has to do.
        """
        try:
            with (
                self.storage.write(frame.path, size=frame.size, replaces=obstacles) as writer,
                StreamDigest(self.hasher) as digest,
            ):
                for chunk in frame.chunks:
                    writer.write(chunk)
                    digest.update(chunk)
                if announced and digest.result() not in (announced, ""):
                    raise _OtherContentError
        except _OtherContentError:
            return False
        self.bytes_written += frame.size
        self.files_written += 1
        self.progress(self.directory.name, 1, "files", self.files_wanted)
        self.progress(self.directory.name, frame.size, "bytes")
        return True

    def has_digests(self, source: Mapping[str, str]) -> bool:
        """Whether contents are compared, and not only names."""
        return all(source.values()) and not isinstance(self.hasher, NoneHasher)

    def warnings(self, source: Mapping[str, str]) -> tuple[str, ...]:
        """Tell what the user should know of the source's files."""
        warnings = []
        if not self.has_digests(source):
            who = "This side takes" if all(source.values()) else "The source sends"
            warnings.append(f"{who} no digests, so every file counts as changed and only sizes are checked.")
        clashes = case_clashes(source)
        if clashes:
            first, second = clashes[0]
            warnings.append(f"{first!r} and {second!r} differ only in case; some file systems hold only one of them.")
        return tuple(warnings)


class _OtherContentError(Exception):
    """The content is not what the manifest announced: leave the block that writes it, so that it is thrown away."""
