"""What servers may say about files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.file_checks import ChunksCheck, EntryCheck, check_file_digest, check_path
from airflow_provider_sync.protocol.v2.file_messages import Chunked, Chunks, FileDigest, FileEntry, path_order

_FILE = FileEntry("f", "file", 3, 4, 0o644, bytes(32))
_LINK = FileEntry("l", "link", link_target="x")
_DIRECTORY = FileEntry("d", "directory", mode=0o755)
_component = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..")
)
_paths = st.lists(_component, min_size=1, max_size=4).map("/".join)


def _check(*entries: FileEntry, links: bool = True) -> None:
    check = EntryCheck(links=links)
    for entry in entries:
        check.check([entry])


@settings(max_examples=50)
@given(st.sets(_paths))
def test_every_sorted_listing_passes(paths: set[str]) -> None:
    """Files with any names in order of paths are accepted, in any number of messages."""
    ordered = [path for path in sorted(paths, key=path_order) if not any(other.startswith(f"{path}/") for other in paths)]
    entries = [FileEntry(path, "file") for path in ordered]
    EntryCheck(links=False).check(entries)
    _check(*entries)


def test_all_kinds_pass() -> None:
    """Directories with content, links, hard links, digests, and the limits of every number are accepted."""
    _check(
        replace(_DIRECTORY, path="a"),
        replace(_FILE, path="a/b", size=2**63 - 1, mtime_ns=-(2**63)),
        replace(_FILE, path="a b", digest=None, mtime_ns=2**63 - 1, mode=0o7777),
        replace(_FILE, path="b", same_as="a/b"),
        replace(_DIRECTORY, path="c"),
        replace(_LINK, path="d", link_target="/x/../y"),
        # Without its directory: object stores list none.
        replace(_FILE, path="e/f/g"),
    )


@pytest.mark.parametrize(
    "path", ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/../b", "a/..", "a\0b", "a" * 4096, "ü" * 2048]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    """A path is relative, without empty and dotted components."""
    with pytest.raises(ProtocolError, match="not a path inside a directory"):
        check_path(path)
    with pytest.raises(ProtocolError, match="not a path inside a directory"):
        _check(replace(_FILE, path=path))
    with pytest.raises(ProtocolError, match="not a path inside a directory"):
        _check(replace(_FILE, path="z", same_as=path))


@pytest.mark.parametrize("path", ["...", "a/...", ".a", "..a", "a..", "a\n", "\n", " ", "\\..\\", "a" * 4095])
def test_odd_paths_are_paths(path: str) -> None:
    """Dots among other characters, line feeds and backslashes are allowed in a name."""
    check_path(path)
    _check(replace(_FILE, path=path))


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        (["b", "a"], "lists 'a' after 'b', which is not the order"),
        (["a!", "a/b"], "lists 'a/b' after 'a!'"),
        (["a", "a"], "lists 'a' twice"),
        (["a", "a/b"], "lists 'a/b' below 'a', which is not a directory"),
    ],
)
@pytest.mark.parametrize("entry", [_FILE, _LINK])
def test_the_order_of_paths(entry: FileEntry, entries: list[str], text: str) -> None:
    """Paths ascend by components, are unique, and are not below a file or a link."""
    with pytest.raises(ProtocolError, match=text):
        _check(*(replace(entry, path=path) for path in entries))
    with pytest.raises(ProtocolError, match=text):
        EntryCheck(links=True).check([replace(entry, path=path) for path in entries])


@pytest.mark.parametrize(
    "entry",
    [
        replace(_FILE, size=-1),
        replace(_FILE, size=2**63),
        replace(_FILE, mtime_ns=2**63),
        replace(_FILE, mtime_ns=-(2**63) - 1),
        replace(_FILE, mode=-1),
        replace(_FILE, mode=0o10000),
        replace(_FILE, digest=bytes(31)),
        replace(_FILE, link_target="x"),
        replace(_FILE, same_as="f"),
        replace(_FILE, same_as="g"),
        replace(_DIRECTORY, size=1),
        replace(_DIRECTORY, digest=bytes(32)),
        replace(_DIRECTORY, link_target="x"),
        replace(_DIRECTORY, same_as="a"),
        replace(_LINK, size=1),
        replace(_LINK, link_target=None),
        replace(_LINK, link_target=""),
        replace(_LINK, link_target="a\0"),
        replace(_LINK, link_target="a" * 4096),
        replace(_LINK, same_as="a"),
    ],
)
def test_impossible_entries_are_refused(entry: FileEntry) -> None:
    """Impossible sizes, times, modes, digests and link targets are refused; the error names the file."""
    with pytest.raises(ProtocolError, match=f"lists '{entry.path}' as .*, which cannot be"):
        _check(entry)


def test_links_only_where_asked_for() -> None:
    """Links that were not requested are refused."""
    with pytest.raises(ProtocolError, match="lists 'l' as kind='link'"):
        _check(_LINK, links=False)


def test_a_long_name_is_shown_in_part() -> None:
    """A hostile name does not fill the log."""
    with pytest.raises(ProtocolError) as caught:
        check_path("a" * 1_000_000 + "/")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "digest", [FileDigest(bytes(31)), FileDigest(bytes(32), -1), FileDigest(bytes(32), 2**63), FileDigest(None, 0, 2**63)]
)
def test_digests_of_files_are_checked(digest: FileDigest) -> None:
    """A digest must have the right length, and a possible size and time."""
    check_file_digest("f", FileDigest(bytes(32), 2**63 - 1, -1))
    check_file_digest("f", FileDigest(None))
    with pytest.raises(ProtocolError, match="a digest of 'f' that cannot be one"):
        check_file_digest("f", digest)


def test_chunks_make_up_the_file() -> None:
    """There are as many digests as lengths, no empty chunk, and the lengths add up to the file's size."""
    check = ChunksCheck("f")
    check.check(Chunks(lengths=(2, 3), digests=bytes(32)))
    check.check(Chunks(lengths=(), digests=b""))
    check.check(Chunks(lengths=(4,), digests=bytes(16)))
    check.finish(Chunked(size=9, mtime_ns=0, digest=bytes(32)))
    for end in (Chunked(size=8, mtime_ns=0, digest=bytes(32)), Chunked(size=9, mtime_ns=0, digest=bytes(31))):
        with pytest.raises(ProtocolError, match="chunks of 9 bytes for a file of"):
            check.finish(end)
    for lengths, size in (((2,), 15), ((2, 3), 16), ((0,), 16), ((-1,), 16), ((2**63,), 16), ((2**32,), 16)):
        with pytest.raises(ProtocolError, match="chunks that cannot be those of a file: 'f'"):
            ChunksCheck("f").check(Chunks(lengths=lengths, digests=bytes(size)))
