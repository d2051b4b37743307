"""Digests of files."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import BinaryIO

import pytest

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Md5Hasher, NoneHasher, StreamDigest, load_hasher

LARGE = bytes(range(256)) * 40_000


class LengthHasher:
    """What a user plugs in."""

    name = "length"

    def hash(self, file: BinaryIO) -> str:
        """Return how long the file is."""
        return str(sum(len(block) for block in iter(lambda: file.read(1000), b"")))


@pytest.mark.parametrize("content", [b"", b"x", b"hello\n", LARGE], ids=len)
def test_md5_is_that_of_the_whole_content(content: bytes, tmp_path: Path) -> None:
    """The MD5 of a file is the standard one, from disk and from memory, at each repetition."""
    (tmp_path / "file").write_bytes(content)
    hasher = Md5Hasher()
    for _ in range(2):
        with (tmp_path / "file").open("rb") as file:
            assert hasher.hash(file) == hashlib.md5(content).hexdigest()
        assert hasher.hash(io.BytesIO(content)) == hashlib.md5(content).hexdigest()


def test_none_has_no_digest() -> None:
    """The null hasher returns the empty digest and reads nothing."""
    file = io.BytesIO(b"content")
    assert NoneHasher().hash(file) == ""
    assert file.tell() == 0


def test_names_lead_to_hashers() -> None:
    """The two built-in names and the import path of a class give hashers."""
    assert isinstance(load_hasher("md5"), Md5Hasher)
    assert isinstance(load_hasher("none"), NoneHasher)
    assert load_hasher("airflow_provider_sync.files.hashers.Md5Hasher").name == "md5"
    assert load_hasher("airflow_provider_sync.files.hashers:Md5Hasher").name == "md5"


@pytest.mark.parametrize("name", ["", "sha1", "no.such.Module", "json.nothing", "json.JSONDecoder", "os.fork.x", "io.StringIO"])
def test_what_is_no_hasher_is_refused(name: str) -> None:
    """A name that gives no hasher is a configuration error that quotes the name."""
    with pytest.raises(ConfigurationError, match=re.escape(repr(name))):
        load_hasher(name)


@pytest.mark.parametrize("hasher", [Md5Hasher(), NoneHasher(), LengthHasher()], ids=lambda hasher: hasher.name)
@pytest.mark.parametrize("content", [b"", b"hello", LARGE], ids=len)
def test_digest_of_a_stream_is_that_of_the_file(hasher: LengthHasher, content: bytes) -> None:
    """A digest computed from a stream equals that of the file, for every kind of hasher."""
    with StreamDigest(hasher) as digest:
        for start in range(0, len(content), 70_000):
            digest.update(content[start : start + 70_000])
        assert digest.result() == hasher.hash(io.BytesIO(content))
