"""Build a new version of a large file from stretches of the old version and fetched content.

A plain download that goes on where it was cut is the simplest case: one stretch is left to be fetched. What has to be fetched is
asked of :func:`fetched_ranges`; who fetches it is none of this module's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from blake3 import blake3

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.files.chunk_matching import Stretch
from airflow_provider_sync.files.tree_writer import NewFile


def whole_file(size: int) -> list[Stretch]:
    """Return the plan of a plain download."""
    return [Stretch(0, size, None)] if size else []


def after(plan: Iterable[Stretch], written: int) -> Iterator[Stretch]:
    """Yield the stretches of a plan that are not written yet.

    :param written: number of bytes that an earlier attempt has written; see :class:`~.tree_writer.NewFile`
    """
    for offset, length, local, data in plan:
        done = min(max(written - offset, 0), length)
        if done == 0:
            yield Stretch(offset, length, local, data)
        elif done < length:
            rest = None if data is None else data[done:]
            yield Stretch(offset + done, length - done, None if local is None else local + done, rest)


def fetched_ranges(plan: Iterable[Stretch]) -> tuple[tuple[int, int], ...]:
    """Return offset and length of each range that a plan needs from the source, in order."""
    return tuple((stretch.offset, stretch.length) for stretch in plan if stretch.local is None)


def assemble(
    new: NewFile,
    plan: Iterable[Stretch],
    from_path: str,
    content: Iterable[bytes | memoryview],
    *,
    digest: bytes | None = None,
    checked: Callable[[], bytes] | None = None,
) -> bytes:
    """Write the rest of a file, and digest all of it: bytes from an earlier attempt, copied bytes and fetched bytes.

    Every byte is digested as it is written, so the old version may change in the meantime. In an object store, the writer digests
    the content, since it cannot be read again; with ``checked``, the producer of ``content`` digests a whole file.
    The caller finishes, keeps or discards ``new``.

    :param plan: the stretches still to be written, perhaps a generator that is still searching; see :func:`after`
    :param from_path: the target's version, from which stretches are copied
    :param content: the bytes of :func:`fetched_ranges`, cut anywhere; read only as far as necessary
    :param digest: BLAKE3 of the source's version, if known
    :param checked: returns the BLAKE3 of ``content`` after its end, if its producer has digested it
    :returns: BLAKE3 of the file
    :raises FileChangedError: if the digest differs, because a version changed in the meantime
    :raises FileError: if ``content`` is too short or too long, or the writer fails
    """
    fetched = _Fetched(content)
    whole = blake3()
    take = whole.update if checked is None and new.digest_written() is None else _pass_over
    for block in new.read_written():
        whole.update(block)
    with _WriteBehind(new) as behind:
        for stretch in plan:
            if stretch.local is None:
                for data in fetched.take(stretch.length):
                    behind.write(data)
                    take(data)
                continue
            behind.wait()
            if stretch.data is None:
                new.copy_range(from_path, stretch.local, stretch.length, take)
            else:
                new.write(stretch.data)
                take(stretch.data)
        fetched.end()
    found = new.digest_written() or (whole.digest() if checked is None else checked())
    check_digest(from_path, found, digest)
    return found


def check_digest(path: str, found: bytes, digest: bytes | None) -> None:
    """Check the digest of an assembled file.

    :param digest: digest of the source's version, if known
    :raises FileChangedError: if the file has a different digest
    """
    if digest is not None and found != digest:
        raise FileChangedError(
            f"{path!r} was put together from its old and its new version, and has not the digest that the source announced: "
            "one of the two changed meanwhile. Try again."
        )


def _pass_over(_: bytes | memoryview) -> None:
    """Digest nothing."""


class _WriteBehind:
    """Writes each block in the background while the next one is fetched."""

    def __init__(self, new: NewFile) -> None:
        self._new = new
        self._pool = ThreadPoolExecutor(1, "write")
        self._writing: Future[None] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Write ``data`` after the previous block.

        :raises FileError: if the previous block could not be written
        """
        self.wait()
        self._writing = self._pool.submit(self._new.write, data)

    def wait(self) -> None:
        """Wait until all blocks are written.

        :raises FileError: if a block could not be written
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.wait()
        finally:
            self._pool.shutdown()


class _Fetched:
    """Content that comes in blocks and is taken by number of bytes."""

    def __init__(self, content: Iterable[bytes | memoryview]) -> None:
        self._content = iter(content)
        self._rest: bytes | memoryview = b""

    def take(self, length: int) -> Iterator[bytes | memoryview]:
        """Yield the next ``length`` bytes."""
        while length:
            if not self._rest:
                block = next(self._content, None)
                if block is None:
                    raise FileError(f"The source sent {length} bytes fewer of a file than it was asked for. Try again.")
                self._rest = block
            data, self._rest = self._rest[:length], self._rest[length:]
            length -= len(data)
            yield data

    def end(self) -> None:
        """Check that nothing is left."""
        if self._rest or any(self._content):
            raise FileError("The source sent more of a file than it was asked for. Try again.")
