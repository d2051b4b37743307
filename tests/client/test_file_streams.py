"""The calls of version 2 about directories, against answers that are right and answers that are not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from blake3 import blake3
from msgspec.structs import replace

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import GuardError, IncompleteStreamError, ProtocolError, ServerError
from airflow_provider_sync.files.chunks import MIN_CHUNK_BYTES
from airflow_provider_sync.protocol.v2.compression import CONTENT_COMPRESSIONS, BlockCompressor
from airflow_provider_sync.protocol.v2.file_messages import (
    Chunked,
    ChunkFile,
    Chunks,
    Content,
    ContentEnd,
    ContentFailed,
    DigestFiles,
    Entries,
    FileDigest,
    FileDigests,
    FileEntry,
    FileMessage,
    Kind,
    Listed,
    ListFiles,
    ReadFiles,
    RequestedFile,
    Unchanged,
    UnreadableFiles,
)
from airflow_provider_sync.protocol.v2.messages import Failure
from airflow_provider_sync.protocol.v2.stream import accept, media_type, write_file_messages
from tests.client.scripted_server import ScriptedServer, reply, stream, until_closed

_DIGEST = blake3(b"abc").digest()
_LIST = ListFiles(directory="images")
_DIGEST_FILES = DigestFiles(directory="images", paths=("a", "b"))
_READ = ReadFiles(
    directory="images", files=(RequestedFile(path="a", size=3, mtime_ns=1), RequestedFile(path="b", size=4, mtime_ns=1))
)
_CHUNK = ChunkFile(directory="images", path="a")

_LISTING: list[FileMessage] = [
    Entries(entries=(FileEntry("a", "directory"), FileEntry("a/b", "file", 3))),
    Entries(entries=(FileEntry("b", "file", 4, digest=bytes(32)),)),
    UnreadableFiles(reasons={"c/": "Permission denied."}),
    Listed(state="s2", links_skipped=5),
]
_DIGESTS: list[FileMessage] = [
    FileDigests(digests=(FileDigest(_DIGEST, 3, 1),)),
    FileDigests(digests=(FileDigest(None, problem="Permission denied."),)),
]
_CONTENT: list[FileMessage] = [
    Content(number=0, data=b"abc", end=ContentEnd(_DIGEST, 0o644)),
    ContentFailed(number=1, reason="gone", message="It is gone."),
]
_CHUNKS: list[FileMessage] = [
    Chunks(lengths=(1, 2), digests=bytes(32)),
    Chunks(lengths=(4,), digests=bytes(16)),
    Chunked(size=7, mtime_ns=1, digest=bytes(32)),
]


def _body(messages: Sequence[FileMessage], compression: str = "zstd") -> bytes:
    return b"".join(write_file_messages([messages], compression))


def _answer(messages: Sequence[FileMessage], compression: str = "zstd", *, end: bool = True) -> bytes:
    return stream(_body(messages, compression), {"Content-Type": media_type(compression)}, size=50, end=end)


def _list(client: SyncClient, request: ListFiles = _LIST) -> list[object]:
    with client.list_files(request) as answer:
        entries = [entry for entries in answer for entry in entries]
    return [answer.unchanged, entries, answer.state, answer.links_skipped, answer.unreadable]


def _digest(client: SyncClient, request: DigestFiles = _DIGEST_FILES) -> list[object]:
    with client.digest_files(request) as answer:
        return list(answer)


def _read(client: SyncClient, request: ReadFiles = _READ) -> list[object]:
    with client.read_files(request) as answer:
        return list(answer)


def _chunk(client: SyncClient, request: ChunkFile = _CHUNK) -> list[object]:
    with client.chunk_file(request, size=10_000) as answer:
        for lengths, digests in answer:
            assert len(digests) == 16 * len(lengths)
        chunks = answer.chunks()
    return [list(chunks.lengths), chunks.digests, chunks.digest]


_LISTED = [
    False,
    [FileEntry("a", "directory"), FileEntry("a/b", "file", 3), FileEntry("b", "file", 4, digest=bytes(32))],
    "s2",
    5,
    {"c/": "Permission denied."},
]
_CALLS = [
    pytest.param(_list, _LISTING, _LISTED, "/listFiles", _LIST, id="listFiles"),
    pytest.param(
        _digest,
        _DIGESTS,
        [("a", FileDigest(_DIGEST, 3, 1)), ("b", FileDigest(None, problem="Permission denied."))],
        "/digestFiles",
        _DIGEST_FILES,
        id="digestFiles",
    ),
    pytest.param(_read, _CONTENT, _CONTENT, "/readFiles", _READ, id="readFiles"),
    pytest.param(_chunk, _CHUNKS, [[1, 2, 4], bytes(48), bytes(32)], "/chunkFile", _CHUNK, id="chunkFile"),
]
_calls = pytest.mark.parametrize(("call", "messages", "result", "endpoint", "request_"), _CALLS)


@_calls
@pytest.mark.parametrize("compression", CONTENT_COMPRESSIONS)
def test_streams_are_asked_for_and_read(server, client, call, messages, result, endpoint, request_, compression) -> None:  # type: ignore[no-untyped-def]
    """The request is JSON and names the client's compressions, and the answer is read as it was sent."""
    server.answer(_answer(messages, compression))
    if compression == "none" and call is not _read:
        with pytest.raises(ProtocolError, match="not a stream of version 2"):
            call(client)
        return
    assert call(client) == result
    (request,) = server.requests
    assert request.path == f"/api/sync{endpoint}"
    assert msgspec.json.decode(request.body, type=type(request_)) == request_
    assert request.headers["accept"] == f"{accept(CONTENT_COMPRESSIONS) if call is _read else accept()}, application/json"
    assert client.traffic.bytes_received == len(_body(messages, compression))


@_calls
def test_every_cut_is_an_error(server, client, call, messages, result, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """An answer that is cut at any place is an error."""
    body = _body(messages)
    for end in range(0, len(body), 7):
        server.answer(until_closed(body[:end], media_type("zstd")))
        with pytest.raises(IncompleteStreamError, match="Directory 'images': "):
            call(client)


@_calls
def test_other_messages_are_refused(server, client, call, messages, result, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """An answer to another request, or without its last message, is refused."""
    for other in (_LISTING[0], _DIGESTS[0], _CONTENT[0], _CHUNKS[0], Unchanged()):
        if type(other) is not type(messages[0]):
            for sent in ([other], [*messages[:1], other]):
                server.answer(_answer(sent))
                with pytest.raises(ProtocolError, match=r"The server sent|says that nothing changed"):
                    call(client)
    for sent in (messages[:1], [*messages, messages[-1]]):
        server.answer(_answer(sent))
        with pytest.raises(ProtocolError, match=r"Directory 'images': The server (sent|did not send)"):
            call(client)


@_calls
def test_answers_of_another_kind_are_refused(server, client, call, messages, result, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """A login page is not read as a stream."""
    server.answer(reply(200, b"<html>Log in</html>", kind="text/html"))
    with pytest.raises(ProtocolError):
        call(client)


@_calls
def test_an_error_in_the_middle_is_told(server, client, call, messages, result, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """The server's error in the middle of an answer is raised with its message."""

    def failing():  # type: ignore[no-untyped-def]
        yield messages[:1]
        raise OSError("The disk is broken.")

    body = b"".join(write_file_messages(failing(), "zstd", explain=lambda error: Failure(status=503, message=str(error))))
    server.answer(stream(body, {"Content-Type": media_type("zstd")}))
    with pytest.raises(ServerError, match=r"^Directory 'images': the server gave up: The disk is broken") as caught:
        call(client)
    assert caught.value.retryable


@_calls
def test_keep_alives_are_passed_over(server, client, call, messages, result, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """Keep-alives while the server works are ignored."""
    idle: dict[object, FileMessage] = {
        _list: Entries(entries=()),
        _digest: FileDigests(digests=()),
        _read: Content(number=0),
        _chunk: Chunks(lengths=(), digests=b""),
    }
    sent = [idle[call], idle[call], messages[0], idle[call], *messages[1:]]
    server.answer(_answer(sent))
    assert call(client) == result


def test_a_listing_that_did_not_change(server: ScriptedServer, client: SyncClient) -> None:
    """One message says that nothing changed; the state is the one that the client sent."""
    server.answer(_answer([Entries(entries=()), Unchanged()]))
    assert _list(client, replace(_LIST, state="s1")) == [True, [], "s1", 0, {}]
    server.answer(_answer([Unchanged(), _LISTING[0]]))
    with pytest.raises(ProtocolError, match="'entries' instead of the end"):
        _list(client, replace(_LIST, state="s1"))
    server.answer(_answer([Unchanged()]))
    with pytest.raises(ProtocolError, match="no state was named"):
        _list(client)


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([Entries(entries=(FileEntry("../x", "file"),))], "'../x', which is not a path"),
        ([Entries(entries=(FileEntry("l", "link", link_target="x"),))], "lists 'l' as kind='link'"),
        ([_LISTING[1], _LISTING[0]], "lists 'a' after 'b'"),
        ([Listed(links_skipped=-1)], "skipped -1 links"),
        ([UnreadableFiles(reasons={str(number): "" for number in range(4096)}), _LISTING[2]], "more than 4096 files"),
    ],
)
def test_listings_are_checked(server: ScriptedServer, client: SyncClient, messages: list[FileMessage], text: str) -> None:
    """An impossible listing of a directory is refused."""
    server.answer(_answer(messages))
    with pytest.raises(ProtocolError, match=text):
        _list(client)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_listing_is_limited(server: ScriptedServer, kind: Kind) -> None:
    """More files or directories than the limit are not read; files and directories are counted separately."""
    other: Kind = "directory" if kind == "file" else "file"
    entries = (FileEntry("a", kind), FileEntry("b", kind), FileEntry("c", other), FileEntry("d", kind))
    with SyncClient(server.url, retries=0, limits=SizeLimits(max_files=2)) as client:
        server.answer(_answer([Entries(entries=entries[:3]), Listed()]))
        _list(client)
        server.answer(_answer([Entries(entries=entries), Listed()]))
        with pytest.raises(GuardError, match="max_files"):
            _list(client)


def test_links_are_listed_on_request(server: ScriptedServer, client: SyncClient) -> None:
    """A client that asked for links gets them."""
    link = FileEntry("l", "link", link_target="x")
    server.answer(_answer([Entries(entries=(link,)), Listed()]))
    assert _list(client, replace(_LIST, links="keep"))[1] == [link]


def test_digests_are_as_many_as_files(server: ScriptedServer, client: SyncClient) -> None:
    """There is a digest for each file, or none from a server that does not digest."""
    server.answer(_answer([]))
    assert _digest(client) == []
    for messages, text in (
        ([_DIGESTS[0]], "sent 1 of 2 digests, and not 'b'"),
        (_DIGESTS * 2, "more than the 2 digests"),
        ([FileDigests(digests=(FileDigest(b"x"),))], "a digest of 'a' that cannot be one"),
    ):
        server.answer(_answer(messages))
        with pytest.raises(ProtocolError, match=text):
            _digest(client)


def test_content_is_inflated_and_checked(server: ScriptedServer, client: SyncClient) -> None:
    """Blocks are inflated completely, or refused."""
    block = BlockCompressor().compress(b"abc")
    inflating = Content(number=0, inflated=3, data=block, end=ContentEnd(_DIGEST))
    server.answer(_answer([inflating, _CONTENT[1]]))
    assert _read(client) == [Content(number=0, data=b"abc", end=ContentEnd(_DIGEST)), _CONTENT[1]]
    for message, text in (
        (Content(number=0, data=b"abd", end=ContentEnd(_DIGEST)), "'a' was damaged"),
        (replace(inflating, inflated=2), "'a': A block of content"),
        (Content(number=1, data=b"abc"), "sent file 1 where 'a' was due"),
    ):
        server.answer(_answer([message]))
        with pytest.raises(ProtocolError, match=text):
            _read(client)


def test_no_more_content_than_the_limits_allow(server: ScriptedServer) -> None:
    """A file above the limit, or files that are above it together, are not requested."""
    for limits, text in (
        (SizeLimits(max_file_bytes=3), "'b' has more than .*limits.max_file_bytes"),
        (SizeLimits(max_directory_bytes=6), "'images' has more than .*limits.max_directory_bytes"),
    ):
        with SyncClient(server.url, retries=0, limits=limits) as client, pytest.raises(GuardError, match=text):
            _read(client)
    assert server.requests == []


def test_chunks_are_checked(server: ScriptedServer, client: SyncClient) -> None:
    """Chunks add up to the file, and their number fits its size."""
    server.answer(_answer([_CHUNKS[0], _CHUNKS[2]]))
    with pytest.raises(ProtocolError, match="chunks of 3 bytes for a file of 7: 'a'"):
        _chunk(client)
    many = [Chunks(lengths=(1,) * 7, digests=bytes(7 * 16))]
    server.answer(_answer(many))
    with pytest.raises(ProtocolError, match="more than 3 chunks of 'a'"):
        _chunk(client)


def test_a_large_file_has_no_small_chunks(server: ScriptedServer, client: SyncClient) -> None:
    """A list is refused that has more chunks than twice the file would have in chunks of the smallest size."""
    size = 1024 * MIN_CHUNK_BYTES
    server.answer(_answer([Chunks(lengths=(1,) * 2052, digests=bytes(2052 * 16))]))
    with pytest.raises(ProtocolError, match="more than 2051 chunks of 'a'"), client.chunk_file(_CHUNK, size=size) as answer:
        list(answer)


def test_paths_that_nobody_can_have(server, client) -> None:  # type: ignore[no-untyped-def]
    """Paths of unreadable files have a maximum length, so that a few KB cannot fill the memory."""
    server.answer(_answer([*_LISTING[:2], UnreadableFiles(reasons={"x" * 20_000: "Permission denied."}), _LISTING[-1]]))
    with pytest.raises(ProtocolError, match="no path is that long") as caught:
        _list(client)
    assert len(str(caught.value)) < 1_000
