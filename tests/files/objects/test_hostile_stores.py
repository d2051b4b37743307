"""Object stores that lie, fail half way, or are busy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.wrappers import Response

from airflow_provider_sync.exceptions import FileChangedError, FileError, SyncError, TransportError
from airflow_provider_sync.files.file_digests import digest_file
from airflow_provider_sync.files.objects import throttling
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.tree_writer import Metadata, TreeWriter
from tests.files.conftest import get, put
from tests.files.objects.hostile_store import (
    BUCKET,
    DENIED,
    SLOW_DOWN,
    Disturbance,
    HostileStore,
    Request,
    emptied,
)

PART = 8 * 1024 * 1024
PLAIN = Metadata()


@pytest.fixture
def store(server: HostileStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileStore]:
    """The server, empty and honest; pauses between tries are short."""
    monkeypatch.setattr(throttling, "_MAX_PAUSE", 0.001)
    with emptied(server) as store:
        yield store


@pytest.fixture
def storage(store: HostileStore) -> ObjectStorage:
    """A directory in it."""
    return ObjectStorage(store.filesystem, f"s3://{BUCKET}/root")


def first(count: int, disturbance: Disturbance) -> Disturbance:
    """Return what disturbs so many times, and no more."""
    left = [None] * count

    def disturb(request: Request) -> Response | None:
        if left and (found := disturbance(request)) is not None:
            left.pop()
            return found
        return None

    return disturb


def listing(*contents: tuple[str, int], tail: str = "") -> Response:
    """Return a page of a listing.

    :param contents: key and size of each object
    :param tail: what it says of the next page; by default, that there is none
    """
    objects = "".join(
        f'<Contents><Key>{key}</Key><Size>{size}</Size><ETag>"x"</ETag><LastModified>2026-11-29T08:15:46.000Z</LastModified>'
        "</Contents>"
        for key, size in contents
    )
    text = f"<ListBucketResult>{objects}{tail or '<IsTruncated>false</IsTruncated>'}</ListBucketResult>"
    return Response(text, content_type="application/xml")


MORE = "<IsTruncated>true</IsTruncated>"
AGAIN = f"{MORE}<NextContinuationToken>again</NextContinuationToken>"


@pytest.mark.parametrize(
    "page",
    [
        listing(("root/a", 1), tail=MORE),
        listing(("root/a", 1), tail=AGAIN),
        listing(tail=AGAIN),
        listing(("root/a", 1), ("rooted/b", 1)),
        listing(("root/b", 1), ("root/a", 1)),
        listing(("root/a", 1), ("root/a", 1)),
        listing(("root/a", -1)),
    ],
    ids=["cut", "goes round", "empty pages go round", "another folder", "unsorted", "twice", "negative size"],
)
def test_a_listing_that_lies_is_an_error(storage: ObjectStorage, store: HostileStore, page: Response) -> None:
    """A truncated, endless, unsorted or foreign listing is refused."""
    store.disturbance = lambda request: None if request.key else page
    with pytest.raises(FileError, match="store lists"):
        list(storage.walk())


def test_access_that_ends_in_the_middle_of_a_listing(storage: ObjectStorage, store: HostileStore) -> None:
    """A listing whose second page is denied is an error, and not a short listing."""
    page = listing(("root/a", 1), tail=AGAIN)
    store.disturbance = lambda request: DENIED if "continuation-token" in request.query else page
    with pytest.raises(FileError, match="Check the credentials"):
        list(storage.walk())


def body(change: bytes | None, *, status: int | None = None, cut: int = 0) -> Disturbance:
    """Return what spoils the content of objects.

    :param change: other content; ``None`` for the object's
    :param cut: bytes to leave out at its end
    """

    def spoil(request: Request) -> Response | None:
        if request.method != "GET" or not request.key:
            return None
        answer = request.answer()
        data = answer.get_data() if change is None else change
        answer.set_data(data[: len(data) - cut])
        answer.status_code = status or answer.status_code
        # Not every store sends the checksums by which the library would notice.
        for header in [name for name, _ in answer.headers if name.lower().startswith("x-amz-checksum")]:
            del answer.headers[header]
        return answer

    return spoil


CONTENT = bytes(range(256)) * 64


@pytest.mark.parametrize(
    "spoiled",
    [body(None, cut=10), body(b""), body(CONTENT + b"more"), body(CONTENT + b"more", status=200)],
    ids=["short", "empty", "long", "long and whole"],
)
def test_content_of_another_length_has_no_digest(storage: ObjectStorage, store: HostileStore, spoiled: Disturbance) -> None:
    """Content with another length than expected is read completely or is an error."""
    put(storage, "a", CONTENT)
    store.disturbance = spoiled
    with storage.open_version("a") as opened, pytest.raises(SyncError):
        digest_file(opened, storage.location)


def test_a_store_that_ignores_ranges(storage: ObjectStorage, store: HostileStore) -> None:
    """A store that sends the start of an object for any range is an error."""
    put(storage, "a", CONTENT)
    store.disturbance = body(CONTENT, status=200)
    with storage.open_version("a") as opened:
        opened.file.seek(1000)
        with pytest.raises(FileError, match="range"):
            opened.file.read(10)


def test_an_object_that_changes_between_its_description_and_its_content(storage: ObjectStorage, store: HostileStore) -> None:
    """New content of equal size never gets the digest of the described version."""
    put(storage, "a", b"old")

    def replace(request: Request) -> Response | None:
        if request.method == "GET" and request.key:
            store.disturbance = lambda _: None
            store.filesystem.pipe_file(f"{BUCKET}/root/a", b"new")
        return None

    store.disturbance = replace
    with storage.open_version("a") as opened, pytest.raises(FileChangedError):
        digest_file(opened, storage.location)


def write_large(writer: TreeWriter, size: int) -> None:
    """Write ``a`` in parts."""
    new = writer.create("a", size=size, metadata=PLAIN)
    for start in range(0, size, PART):
        new.write(bytes(min(PART, size - start)))
    new.finish()


def upload(storage: ObjectStorage, size: int) -> None:
    """Write ``a`` in parts, and nothing else."""
    with storage.writer(may_replace=lambda path: False) as writer:
        write_large(writer, size)


@pytest.mark.parametrize("large", [False, True])
def test_bursts_of_throttling_are_sat_out(
    storage: ObjectStorage, store: HostileStore, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes and reads, also in parts, continue after a burst of refusals."""
    size = PART + 5 if large else 5
    monkeypatch.setattr(store.filesystem, "retries", 3)
    store.disturbance = first(2, lambda request: SLOW_DOWN if request.key else None)
    with storage.writer(may_replace=lambda path: False) as writer:
        if large:
            write_large(writer, size)
        else:
            writer.put("a", bytes(size), PLAIN)
    monkeypatch.setattr(store.filesystem, "retries", 1)
    store.disturbance = first(3, lambda request: SLOW_DOWN if request.key else None)
    assert get(storage, "a") == bytes(size)
    assert store.uploads() == []


def steps_of_upload(step: str) -> Disturbance:
    """Return what denies one step of an upload in parts."""

    def deny(request: Request) -> Response | None:
        query = request.query
        part = request.method == "PUT" and query.get("partNumber") == "2"
        complete = request.method == "POST" and "uploadId" in query
        begin = request.method == "POST" and "uploads" in query
        if step == "complete, told in an answer of 200" and complete:
            return Response("<Error><Code>InternalError</Code><Message>We failed.</Message></Error>", 200)
        return DENIED if {"begin": begin, "part": part, "complete": complete}.get(step) else None

    return deny


@pytest.mark.parametrize("step", ["begin", "part", "complete", "complete, told in an answer of 200"])
def test_an_upload_that_fails_leaves_nothing(storage: ObjectStorage, store: HostileStore, step: str) -> None:
    """After a failure at any step of an upload, the old object stays, and no parts remain."""
    put(storage, "a", b"old")
    store.disturbance = steps_of_upload(step)
    with pytest.raises(SyncError, match="Cannot write 'a'"):
        upload(storage, 2 * PART)
    store.disturbance = lambda _: None
    assert store.uploads() == []
    assert get(storage, "a") == b"old"


def test_access_that_ends_in_the_middle_of_the_writes(storage: ObjectStorage, store: HostileStore) -> None:
    """A denied object is reported and not counted as done; all others are written."""
    failed: dict[str, FileError] = {}
    store.disturbance = lambda request: DENIED if request.key == "root/b" else None
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        for path in "abc":
            writer.put(path, path.encode(), PLAIN)
        assert [entry.path for entry in writer.commit()] == ["a", "c"]
    assert list(failed) == ["b"]
    assert [entry.path for entry in storage.walk()] == ["a", "c"]


def replace_after_write(store: HostileStore, path: str, content: bytes) -> None:
    """Replace an object right after it is written for the first time."""

    def replace(request: Request) -> Response | None:
        if request.method != "PUT" or request.key != f"root/{path}":
            return None
        store.disturbance = lambda _: None
        answer = request.answer()
        store.filesystem.pipe_file(f"{BUCKET}/root/{path}", content)
        return answer

    store.disturbance = replace


def test_what_somebody_else_writes_has_not_our_digest(storage: ObjectStorage, store: HostileStore) -> None:
    """If an object is replaced right after it was written, the returned entry is that of our content."""
    replace_after_write(store, "a", b"x")
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put("a", b"a", PLAIN)
        (entry,) = writer.commit()
    assert storage.look_up("a").version != entry.version
    assert get(storage, "a") == b"x"


def test_a_copy_that_somebody_else_replaces_has_not_our_digest(storage: ObjectStorage, store: HostileStore) -> None:
    """The same holds for an object from a copy inside the store."""
    put(storage, "a", b"old")
    replace_after_write(store, "b", b"new")
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.copy("b", "a", PLAIN)
        (entry,) = writer.commit()
    assert entry.version == storage.look_up("a").version
    assert storage.look_up("b").version != entry.version


def test_a_copy_that_fails_in_an_answer_of_200(storage: ObjectStorage, store: HostileStore) -> None:
    """A copy that fails after the headers of success is an error."""
    put(storage, "a", b"old")
    failure = Response("<Error><Code>InternalError</Code><Message>We failed.</Message></Error>", 200)
    store.disturbance = lambda request: failure if request.key == "root/b" and request.method == "PUT" else None
    with pytest.raises(SyncError), storage.writer(may_replace=lambda path: False) as writer:
        writer.copy("b", "a", PLAIN)
    store.disturbance = lambda _: None
    assert [entry.path for entry in storage.walk()] == ["a"]


def test_a_removal_that_fails_in_the_middle(storage: ObjectStorage, store: HostileStore) -> None:
    """A removal that the store does not confirm is an error, and a throttled one is retried."""
    for path in "ab":
        put(storage, path, b"x")
    store.disturbance = first(3, lambda request: SLOW_DOWN if "delete" in request.query else None)
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.remove("a")
    assert [entry.path for entry in storage.walk()] == ["b"]


def test_a_store_that_stays_busy_is_no_change(storage: ObjectStorage, store: HostileStore) -> None:
    """An object that a busy store does not show is a transient error, not a change."""
    put(storage, "a", b"x")
    store.disturbance = lambda request: SLOW_DOWN if request.key else None
    with pytest.raises(TransportError, match="Cannot read 'a'"):
        storage.open_version("a")
