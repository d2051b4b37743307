"""Any tree becomes any other by way of a local writer."""

from __future__ import annotations

import random
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sync.files.local.local_storage import LocalStorage
from tests.files.conftest import tree
from tests.files.local.writing import PLAIN

NAMES = ("a", "b", "a.c")


CONTENT = st.one_of(st.none(), st.sampled_from([b"1", b"2", b"-> ", b"-> a"]))


TREES = st.dictionaries(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), CONTENT, max_size=8).map(
    lambda found: {
        path: content
        for path, content in found.items()
        if not any(path.startswith(f"{other}/") and found[other] is not None for other in found)
    }
)


def link_target(path: str, content: bytes) -> str:
    """Return where a link of a generated tree leads: to the root, or to a name there."""
    return "../" * path.count("/") + (content.removeprefix(b"-> ").decode() or ".")


def build(root: Path, content: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Make a tree of files, links, and directories, which are ``None``; return what :func:`tree` says of it."""
    root.mkdir()
    for path, data in content.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            place.mkdir(exist_ok=True)
        elif data.startswith(b"->"):
            place.symlink_to(link_target(path, data))
        else:
            place.write_bytes(data)
    return tree(root)


@settings(max_examples=60, deadline=None)
@given(old=TREES, new=TREES, order=st.randoms(use_true_random=False), commits=st.integers(1, 9), fails=st.booleans())
def test_any_tree_becomes_any_other(
    old: dict[str, bytes | None], new: dict[str, bytes | None], order: random.Random, commits: int, fails: bool
) -> None:
    """With any obstacles and in any order, the new tree is complete at the end; after an exception, the old one."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        before, wanted = build(root, old), build(Path(name) / "wanted", new)
        steps = [(path, content) for path, content in wanted.items() if before.get(path, b"missing") != content]
        order.shuffle(steps)
        with (
            suppress(ZeroDivisionError),
            LocalStorage(root).writer(durable=False, may_replace=lambda path: wanted.get(path) is None) as writer,
        ):
            for number, (path, content) in enumerate(steps, 1):
                if content is None:
                    writer.make_directory(path, PLAIN)
                elif content.startswith(b"->"):
                    writer.make_link(path, content.removeprefix(b"-> ").decode())
                else:
                    writer.put(path, content, PLAIN)
                if number % commits == 0 and not fails:
                    writer.commit()
            if fails:
                raise ZeroDivisionError
            writer.commit()
            gone = [path for path in before if path not in wanted]
            for path in reversed(gone):
                if before[path] is None:
                    assert writer.remove_directory(path)
                else:
                    writer.remove(path)
        assert tree(root) == (before if fails else wanted)
