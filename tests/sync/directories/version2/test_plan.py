"""Decisions about paths: what any two trees make of each other, and the reason of each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import FileEntry, path_order
from airflow_provider_sync.sync.directories.version2.plan import Rules, Step, plan, settle

Node = tuple[str, str]
"""Kind, and content or target of a link."""

Tree = dict[str, Node]

MTIME = 1_700_000_000_123_456_789


def digest(content: str) -> bytes:
    """Stand for the digest of a content."""
    return content.encode().ljust(32, b"\0")


def listed(tree: Tree, *, known: bool = True) -> Iterator[FileEntry]:
    """List a tree as a source does."""
    for path in sorted(tree, key=path_order):
        kind, content = tree[path]
        if kind == "file":
            yield FileEntry(path, "file", len(content), MTIME, 0o644, digest(content) if known else None)
        elif kind == "link":
            yield FileEntry(path, "link", link_target=content)
        else:
            yield FileEntry(path, "directory")


def walked(tree: Tree, *, known: bool = True) -> Iterator[TreeEntry]:
    """List a tree as a target is walked."""
    for entry in listed(tree, known=known):
        yield TreeEntry(
            entry.path, entry.kind, entry.size, entry.mtime_ns, entry.mode, link_target=entry.link_target, digest=entry.digest
        )


def below(path: str, tree: Tree) -> list[str]:
    """Name what lies below a path."""
    return [other for other in tree if other.startswith(f"{path}/")]


def apply(tree: Tree, source: Tree, steps: list[Step]) -> Tree:
    """Do the steps as a sync does: files and links first, then deletes, then directories."""
    tree = dict(tree)
    for step in steps:
        assert step.action != "left"
        if step.action == "unsettled":
            step = settle(step, digest(source[step.path][1]), digest(tree[step.path][1]), Rules())
        if step.action in ("added", "changed", "make_link"):
            in_the_way = [path for path in tree if step.path.startswith(f"{path}/") and tree[path][0] != "directory"]
            for path in (*in_the_way, *below(step.path, tree)):
                if tree[path][0] != "directory":
                    # A writer refuses what is not to be removed.
                    assert any(other.action == "removed" and other.obstacle and other.path == path for other in steps)
                del tree[path]
            assert step.action != "changed" or tree[step.path][0] == "file"
            tree[step.path] = source[step.path]
            components = step.path.split("/")
            for length in range(1, len(components)):
                tree.setdefault("/".join(components[:length]), ("directory", ""))
    for step in steps:
        if step.action == "removed":
            assert step.path not in source or source[step.path][0] == "directory"
            if step.path in tree and tree[step.path][0] != "directory":
                del tree[step.path]
    for step in steps:
        if step.action == "remove_directory" and not below(step.path, tree):
            assert step.path not in source
            del tree[step.path]
    for step in steps:
        if step.action == "make_directory":
            tree.setdefault(step.path, ("directory", ""))
    return tree


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Draw small trees whose paths meet often."""
    tree: Tree = {}
    for path in draw(st.lists(st.lists(st.sampled_from(["a", "a-", "b", "é"]), min_size=1, max_size=3), max_size=8)):
        names = [*path]
        above = ["/".join(names[:length]) for length in range(1, len(names))]
        if any(tree.get(parent, ("directory", ""))[0] != "directory" for parent in above) or "/".join(names) in tree:
            continue
        tree.update(dict.fromkeys(above, ("directory", "")))
        tree["/".join(names)] = draw(
            st.sampled_from([("file", ""), ("file", "x"), ("file", "y"), ("file", "long"), ("link", "b"), ("directory", "")])
        )
    return tree


@given(source=trees(), target=trees(), known=st.booleans())
def test_any_tree_becomes_any_other(source: Tree, target: Tree, known: bool) -> None:
    """For any two trees, the steps turn one into the other, and then there is no difference."""
    steps = list(plan(listed(source, known=known), walked(target), Rules()))
    made = apply(target, source, steps)
    assert made == source
    assert {step.action for step in plan(listed(source), walked(made), Rules())} <= {"same"}


@given(source=trees(), target=trees())
def test_listings_without_directories(source: Tree, target: Tree) -> None:
    """For object stores, which list no directories, all files and links arrive, and only directories are left."""
    files = {path: node for path, node in source.items() if node[0] != "directory"}
    for present in (target, {path: node for path, node in target.items() if node[0] != "directory"}):
        steps = list(plan(listed(files), walked(present), Rules(directories=False)))
        made = apply(target, files, steps)
        assert {path: node for path, node in made.items() if node[0] != "directory"} == files
        # What was empty before stays: nobody knows whether the source has it.
        assert all(below(path, made) or path in target for path, node in made.items() if node[0] == "directory")


@given(source=trees(), target=trees())
def test_each_path_is_decided_once(source: Tree, target: Tree) -> None:
    """Each path has one step, and a second one only if it is replaced by another kind."""
    steps = list(plan(listed(source), walked(target), Rules()))
    decided = [step.path for step in steps]
    swapped = {path for path in source.keys() & target.keys() if source[path][0] == "directory" != target[path][0]}
    assert len(decided) == len(set(decided)) + len(swapped)
    files = {path for tree in (source, target) for path, node in tree.items() if node[0] != "directory"}
    assert files <= set(decided)


FILE = FileEntry("a", "file", 5, MTIME, 0o644, digest("five!"))
PRESENT = TreeEntry("a", "file", 5, MTIME, 0o644, digest=digest("five!"))


@pytest.mark.parametrize(
    ("source", "target", "rules", "action", "reason"),
    [
        ({}, {}, {}, "same", ""),
        ({"size": 6}, {}, {}, "changed", "size"),
        ({"digest": digest("other")}, {}, {}, "changed", "content"),
        ({"digest": None}, {}, {}, "unsettled", ""),
        ({}, {"digest": None}, {}, "unsettled", ""),
        ({}, {}, {"checksum": "always"}, "unsettled", ""),
        ({"digest": None}, {}, {"checksum": "never"}, "same", ""),
        ({"digest": None, "mtime_ns": MTIME + 1}, {}, {"checksum": "never"}, "changed", "time"),
        ({"digest": digest("other")}, {}, {"checksum": "never"}, "changed", "content"),
        ({"mtime_ns": MTIME + 1}, {}, {}, "touched", "time"),
        ({"mtime_ns": MTIME + 1}, {}, {"mtime": False}, "same", ""),
        ({"mtime_ns": 0}, {}, {}, "same", ""),
        ({}, {"mtime_ns": 0}, {}, "same", ""),
        ({}, {"mtime_ns": MTIME // 10**9 * 10**9}, {}, "same", ""),
        ({}, {"mtime_ns": MTIME // 10**9 * 10**9 + 10**9}, {}, "touched", "time"),
        ({}, {"mtime_ns": MTIME // 100 * 100}, {}, "same", ""),
        ({}, {"mtime_ns": MTIME // 1_000 * 1_000}, {}, "same", ""),
        ({}, {"mtime_ns": MTIME // 10**7 * 10**7}, {"checksum": "never"}, "same", ""),
        ({}, {"mtime_ns": MTIME // 100 * 100 - 100}, {}, "touched", "time"),
        ({"mtime_ns": MTIME + 10**9}, {"mtime_ns": MTIME // 10**9 * 10**9}, {}, "touched", "time"),
        ({"mtime_ns": MTIME + 10**9}, {"mtime_ns": MTIME // 10**9 * 10**9}, {"time_step_ns": 2 * 10**9}, "same", ""),
        ({"mtime_ns": MTIME + 2 * 10**9}, {"mtime_ns": MTIME // 10**9 * 10**9}, {"time_step_ns": 2 * 10**9}, "touched", "time"),
        ({"mode": 0o755}, {}, {}, "same", ""),
        ({"mode": 0o755}, {}, {"permissions": True}, "touched", "time"),
        ({"mode": 0o4644}, {}, {"permissions": True}, "same", ""),
        ({"mode": 0}, {}, {"permissions": True}, "same", ""),
    ],
)
def test_reasons(source: dict[str, Any], target: dict[str, Any], rules: dict[str, Any], action: str, reason: str) -> None:
    """Size, digest, time and permissions decide, according to the options."""
    entry = FileEntry(**{field: getattr(FILE, field) for field in FILE.__struct_fields__} | source)
    present = TreeEntry(**{field: getattr(PRESENT, field) for field in PRESENT.__struct_fields__} | target)
    (step,) = plan(iter([entry]), iter([present]), Rules(**rules))
    assert (step.action, step.reason) == (action, reason)


def test_directories_have_permissions_too() -> None:
    """Permissions of a directory are compared, but not its time."""
    source, target = FileEntry("d", "directory", 0, 1, 0o755), TreeEntry("d", "directory", 0, 2, 0o700)
    assert [step.action for step in plan(iter([source]), iter([target]), Rules())] == ["same"]
    assert [step.action for step in plan(iter([source]), iter([target]), Rules(permissions=True))] == ["touched"]


def test_a_settled_file() -> None:
    """With equal digests, only metadata is compared; a file that one side cannot read is fetched."""
    step = Step("unsettled", FileEntry("a", "file", 1, MTIME), TreeEntry("a", "file", 1, MTIME + 1))
    assert settle(step, digest("x"), digest("x"), Rules()).action == "touched"
    assert settle(step, digest("x"), digest("x"), Rules(mtime=False)).action == "same"
    assert settle(step, digest("x"), digest("y"), Rules()).action == "changed"
    assert settle(step, digest("x"), None, Rules()).action == "changed"
    assert settle(step, None, None, Rules()).action == "changed"


def test_what_one_side_could_not_list_is_left() -> None:
    """Paths that one side could not list are neither removed nor written."""
    source = {"closed/x": ("file", ""), "open/x": ("file", "")}
    target = {"secret": ("directory", ""), "secret/y": ("file", ""), "gone": ("file", "")}
    steps = plan(
        listed(source),
        walked(target),
        Rules(),
        unknown_at_source=lambda path: path.startswith("secret"),
        unknown_at_target=lambda path: path.startswith("closed"),
    )
    assert [(step.path, step.action) for step in steps] == [
        ("closed/x", "left"),
        ("gone", "removed"),
        ("open/x", "added"),
        ("secret/y", "left"),
    ]
