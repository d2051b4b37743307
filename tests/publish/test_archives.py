"""The wheel and the source archive that are published."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from publish.archives import build_archives

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both."""
    return build_archives(tmp_path_factory.mktemp("dist"))


def test_the_same_source_gives_the_same_bytes(archives: tuple[Path, Path], tmp_path: Path) -> None:
    """Built from the unpacked source archive, later and under another umask, both archives have the same bytes."""
    wheel, sdist = archives
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    umask = os.umask(0o077)
    try:
        for path in source.rglob("*"):
            path.touch()
        again = build_archives(tmp_path / "dist", source=source)
    finally:
        os.umask(umask)
    assert [path.name for path in again] == [wheel.name, sdist.name]
    assert [path.read_bytes() for path in again] == [wheel.read_bytes(), sdist.read_bytes()]


def test_the_metadata_is_what_the_index_accepts(archives: tuple[Path, Path]) -> None:
    """Every field has a value that the package index takes, and the description is the README, as Markdown."""
    with zipfile.ZipFile(archives[0]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(archive.read(name), validate=True)
    assert metadata.description_content_type == "text/markdown"
    assert (metadata.description or "").startswith("# ")
    assert str(metadata.requires_python) == ">=3.11"


def test_the_source_archive_has_all_that_tests_and_release_need(archives: tuple[Path, Path]) -> None:
    """The source archive has the files of git, without built or installed ones."""
    with tarfile.open(archives[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "docs/how-to/deploy/core-requirements.txt",
        ".ci/publish/pyz.py",
        "tests/conftest.py",
        ".ci/constraints.txt",
        "LICENSE",
    } <= names
    assert {name for name in names if name.startswith((".venv", ".cache", "dist", "build"))} == set()
