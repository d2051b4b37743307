"""Include and exclude patterns."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import PathFilter


@pytest.mark.parametrize(
    ("pattern", "matches", "leaves"),
    [
        ("*.png", ["a.png", ".png", "ü.png"], ["a.png.txt", "sub/a.png", "apng", "a.PNG"]),
        ("**/*.png", ["a.png", "a/b/c.png", ".h/.png"], ["a.png/x"]),
        ("**", ["a", "a/b", ".h"], []),
        ("tmp/**", ["tmp/a", "tmp/a/b", "tmp/.h"], ["tmp", "tmpx/a", "a/tmp/b"]),
        ("tmp/", ["tmp/a", "tmp/a/b"], ["tmp", "a/tmp/b"]),
        ("**/cache/", ["cache/a", "a/cache/b/c"], ["cache", "a/cache", "cachex/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "b", "a/b/c"]),
        ("**/**/a", ["a", "x/a", "x/y/a"], ["ab"]),
        ("a/*/b", ["a/x/b", "a/.x/b"], ["a/b", "a/x/y/b"]),
        ("a**b", ["ab", "axxb"], ["a/b"]),
        ("file?", ["file1", "fileü"], ["file", "file12", "file/"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt", "ab.txt"]),
        ("[!ab]", ["c", "]"], ["a", "b"]),
        ("[^a]", ["c", "^"], ["a"]),
        ("x[!a]y", ["xby"], ["x/y", "xay"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-"]),
        ("[c-a]", [], ["a", "b", "c", "-"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[]x]", ["]", "x"], ["[]x]"]),
        ("[!]]", ["a"], ["]"]),
        ("[*]", ["*"], ["a"]),
        ("[[]", ["["], ["a"]),
        ("[\\d]", ["\\", "d"], ["1"]),
        ("[&&~]", ["&", "~"], ["a"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a.b+c(d)|e$", ["a.b+c(d)|e$"], ["aXb+c(d)|e$", "e$"]),
        ("new*line", ["new\nline"], ["new/line"]),
        ("back\\slash", ["back\\slash"], ["backslash"]),
    ],
)
def test_patterns_match_whole_paths(pattern: str, matches: list[str], leaves: list[str]) -> None:
    """Each pattern includes, or excludes, exactly the paths that its rule describes."""
    including, excluding = PathFilter(include=[pattern]), PathFilter(exclude=[pattern])
    assert [path for path in matches + leaves if including.selects(path)] == matches
    assert [path for path in matches + leaves if excluding.selects(path)] == leaves


@pytest.mark.parametrize(
    ("pattern", "repeated", "times", "end"),
    [
        ("*a*a*a*a*a*a*a*a*b", "a", 4_000, ""),
        ("*a?*a?*a?*a?*a?*[!x]*b", "ab", 2_000, "c"),
        ("**/a/**/a/**/a/**/a/**/a/**/b", "a/", 2_000, "a"),
        ("**/*a*/**/*a*/**/*a*/**/*a*/**/b", "aa/", 1_300, "a"),
        ("a*/**/*a*a*a*a*b/**/*a*a*a*b/c", "aaaaaaaaaaaa/", 300, "c"),
        ("**/**/**/**/*x", "a/", 2_000, "a"),
        ("**/*/*/*/*/*/*/*/*/*/*/*/*/x", "a/", 2_000, "a"),
        ("*a*a*a*a*b", "a", 100_000, ""),
    ],
)
@pytest.mark.timeout(10)
def test_hostile_names_take_no_time(pattern: str, repeated: str, times: int, end: str) -> None:
    """A name of any length that nearly matches in many ways is refused at once."""
    name = repeated * times + end
    for selection in (PathFilter(include=[pattern, "z"]), PathFilter(exclude=["z", pattern])):
        assert selection.selects(name) == (not selection.include)
        selection.descends(name)


def test_exclusion_wins() -> None:
    """A file is selected if an include pattern matches it and no exclude pattern does."""
    selection = PathFilter(include=["**/*.png", "a.txt"], exclude=["tmp/**", "**/x.png"])
    paths = ["a.png", "b/c.png", "a.txt", "b.txt", "tmp/a.png", "b/x.png", "x.png"]
    assert [path for path in paths if selection.selects(path)] == ["a.png", "b/c.png", "a.txt"]


def test_temporary_files_are_never_selected() -> None:
    """The temporary files of a sync are never selected, even if the other side lists them."""
    assert not PathFilter().selects("a/.airflow-sync-0123456789abcdef.part")
    assert not PathFilter(include=["**"]).selects(".airflow-sync-0123456789abcdef.part")


@pytest.mark.parametrize("pattern", ["", "/", "/a", "a//b", "./a", "../a", "a/..", "a/./b", "a//"])
def test_patterns_that_match_nothing_are_refused(pattern: str) -> None:
    """A pattern that no path can match is an error that quotes the pattern."""
    with pytest.raises(ConfigurationError, match="matches nothing"):
        PathFilter(include=[pattern])
    with pytest.raises(ConfigurationError, match="matches nothing"):
        PathFilter(exclude=[pattern])


def test_directories_that_are_excluded_as_a_whole_are_not_entered() -> None:
    """A scan skips exactly the directories whose files are all excluded."""
    selection = PathFilter(exclude=["tmp/**", "**/cache/", "logs/*", "a/**/b"])
    assert [path for path in ["tmp", "tmp/x", "x/cache", "cache/y"] if selection.descends(path)] == []
    assert all(selection.descends(path) for path in ["x", "x/tmp", "logs", "a", "a/b", "cachex"])


paths = st.lists(st.text(alphabet="ab.-]", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)
components = st.one_of(st.just("**"), st.text(alphabet="ab*?[]!-.", min_size=1, max_size=5))
patterns = (
    st.tuples(st.lists(components, min_size=1, max_size=4), st.sampled_from(["", "/"]))
    .map(lambda parts: "/".join(parts[0]) + parts[1])
    .filter(lambda pattern: not {".", ".."} & set(pattern.split("/")))
)


starred = st.lists(st.one_of(st.just("**"), st.text(alphabet="ab*", min_size=1, max_size=5)), min_size=2, max_size=6).map(
    "/".join
)


@given(st.one_of(patterns, starred), paths)
@example("**/*a*b/**/b", "ab/aab/b/a/b")
@example("**/a/**/a/b", "a/x/a/a/b")
def test_agrees_with_the_plain_reading_of_the_rules(pattern: str, path: str) -> None:
    """The compiled expression agrees with a matcher that compares one character at a time."""
    assert PathFilter(include=[pattern]).selects(path) == reference(pattern, path)


@given(st.lists(patterns, max_size=3), paths, paths)
def test_never_passes_over_a_selected_file(exclude: list[str], directory: str, below: str) -> None:
    """A directory that a scan skips has no selected file below it."""
    selection = PathFilter(exclude=exclude)
    assert selection.descends(directory) or not selection.selects(f"{directory}/{below}")


def reference(pattern: str, path: str) -> bool:
    """Whether ``pattern`` matches ``path``, one component after the other."""
    components = pattern.split("/")
    if components[-1] == "":
        components[-1] = "**"
    return match_path(components, path.split("/"))


def match_path(pattern: list[str], path: list[str]) -> bool:
    """The same for components."""
    if not pattern:
        return not path
    if pattern == ["**"]:
        return bool(path)
    if pattern[0] == "**":
        # It stands for directories, so that the last component is left to what follows.
        return any(match_path(pattern[1:], path[skipped:]) for skipped in range(len(path)))
    return bool(path) and match_component(pattern[0], path[0]) and match_path(pattern[1:], path[1:])


def match_component(pattern: str, text: str) -> bool:
    """The same within one component, one character after the other."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(match_component(pattern[1:], text[skipped:]) for skipped in range(len(text) + 1))
    if pattern[0] == "[":
        body_from = 2 if pattern[1:2] in ("!", "^") else 1
        end = pattern.find("]", body_from + 1)
        if end > 0:
            inside = text[:1] != "" and in_set(pattern[body_from:end], text[0])
            return text != "" and inside != (body_from == 2) and match_component(pattern[end + 1 :], text[1:])
    return text != "" and pattern[0] in ("?", text[0]) and match_component(pattern[1:], text[1:])


def in_set(members: str, character: str) -> bool:
    """Whether a set such as ``a-cx`` has the character."""
    if len(members) >= 3 and members[1] == "-":
        return members[0] <= character <= members[2] or in_set(members[3:], character)
    return members != "" and (members[0] == character or in_set(members[1:], character))


def test_rules_for_one_folder() -> None:
    """With rules for one folder, a walk enters only the way to it and selects what the rules select in it."""
    rules = PathFilter(include=["**/*.png"], exclude=["a/b/tmp/**"]).below("a/b")
    assert rules.folder == "a/b"
    assert not rules.selects_all
    paths = ("a", "a/b", "a/b/x.png", "a/b/x.txt", "a/b/tmp/x.png", "a/bx.png", "x.png")
    assert [path for path in paths if rules.selects(path)] == ["a/b", "a/b/x.png"]
    directories = ("a", "a/b", "a/b/c", "a/b/tmp", "a/bc", "b", "a/c")
    assert [path for path in directories if rules.descends(path)] == ["a", "a/b", "a/b/c"]
    assert not PathFilter(exclude=["a/**"]).below("a/b").descends("a")
