"""Which files are compressed: decided by names, by first bytes, and by the files before."""

from __future__ import annotations

import random

import pytest

from airflow_provider_sync.server.directories.block_compression import BlockCompression

NOISE = random.Random(1).randbytes(4096)
TEXT = b"all work and no play " * 200


def test_text_and_noise() -> None:
    """Text is compressed; noise, small files and compressed formats are not."""
    compression = BlockCompression()
    assert compression.is_worthwhile("a.txt", TEXT)
    assert not compression.is_worthwhile("a.bin", NOISE)
    assert not compression.is_worthwhile("folder.d/a.JPG", TEXT)
    assert not compression.is_worthwhile("a.txt", TEXT[:100])


@pytest.mark.parametrize("name", ["{}.bin", "folder.d/{}"], ids=["an ending", "no ending"])
def test_files_after_many_that_were_not_worth_it(name: str) -> None:
    """After many incompressible files of one type, only some are tried, until one of them compresses."""
    compression = BlockCompression()
    assert not any(compression.is_worthwhile(name.format("noise"), NOISE) for _ in range(100))

    assert compression.is_worthwhile("a.txt", TEXT)
    decided = [compression.is_worthwhile(name.format("text"), TEXT) for _ in range(100)]

    assert 0 < decided.index(True) < 20
    assert all(decided[decided.index(True) :])
