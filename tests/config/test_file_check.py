"""A configuration file is checked as a whole, and each mistake has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config.file_check import check_file, recognise
from airflow_provider_sync.exceptions import ConfigurationError


def lines(path: Path, text: str, kind: str | None = None) -> dict[int | None, str]:
    """Return the mistakes of a file by their lines."""
    path.write_text(text, encoding="utf-8")
    return {mistake.line: mistake.message for mistake in check_file(path, kind).mistakes}


def test_mistakes_have_lines(tmp_path: Path) -> None:
    """A mistake has the line of its option, its list entry, or the entry that lacks an option."""
    found = lines(
        tmp_path / "client.yaml",
        "url: http://source.example\n"
        "retries: many\n"
        "connections: {local: 'sqlite://'}\n"
        "tables:\n"
        "  orders:\n"
        "    columns:\n"
        "    - id\n"
        "    - 7\n"
        "  items:\n"
        "    connection: shop\n"
        "    primry: id\n"
        "directories:\n"
        "  images: {include: ['*.png']}\n",
    )
    assert list(found) == [2, 8, 11, 13]
    assert found[8] == "'orders': columns[1] must be text, not a whole number."


def test_merged_mappings(tmp_path: Path) -> None:
    """An option that comes from another mapping has the line on which it is written."""
    text = "url: http://x\ndirectories:\n  a: &common\n    path: x\n    include: 7\n  b:\n    <<: *common\n    path: y\n"
    path = tmp_path / "client.yaml"
    path.write_text(text, encoding="utf-8")
    assert [(mistake.place, mistake.line) for mistake in check_file(path).mistakes] == [
        (("directories", "a", "include"), 5),
        (("directories", "b", "include"), 5),
    ]


def test_variables_that_are_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every unset variable is named with its line, and its value is not checked further."""
    monkeypatch.delenv("FIRST", raising=False)
    monkeypatch.delenv("SECOND", raising=False)
    found = lines(tmp_path / "client.yaml", "url: http://x\nretries: ${FIRST}\ntoken: a${SECOND}\n")
    assert list(found) == [2, 3]
    assert found[2].startswith("The environment variable FIRST is not set")


def test_a_misspelt_option_with_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt option with an unset variable is reported as misspelt, too."""
    monkeypatch.delenv("FIRST", raising=False)
    (tmp_path / "server.yaml").write_text(
        'mask_keys: "${FIRST}"\ntokens: [{tokn: "${FIRST}"}]\ntables: {t: {tabel: "${FIRST}"}}\n'
    )
    messages = [mistake.message for mistake in check_file(tmp_path / "server.yaml").mistakes]
    for name in ("mask_keys", "tokn", "tabel"):
        assert any(f"here is no option {name!r}. Did you mean" in message for message in messages), messages
    assert len([message for message in messages if "FIRST is not set" in message]) == 3


def test_keys_that_are_there_twice(tmp_path: Path) -> None:
    """A duplicate key of a mapping is a mistake on its second line, although YAML accepts it."""
    text = (
        "url: http://x\nconnections: {a: 'sqlite://'}\ntables:\n  t: &t {primary: id}\n  u: *t\n"
        "  t: {table: v}\n  w: {<<: *t, <<: *t}\n"
    )
    assert lines(tmp_path / "client.yaml", text) == {6: "'t' is already on line 4. Remove one: only the last is used."}


def test_what_is_not_yaml(tmp_path: Path) -> None:
    """A file that is not YAML is a mistake with the line of the first error."""
    assert list(lines(tmp_path / "client.yaml", "url: http://x\ntables: [\n")) == [3]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"url": "http://x"}, "client"),
        ({"retries": 1, "tables": {}}, "client"),
        ({"tokens": []}, "server"),
        ({"tables": {}}, "server"),
        ({}, "server"),
    ],
)
def test_files_are_recognised(settings: dict[str, object], kind: str) -> None:
    """A file with options of one kind is of that kind; without any, it is a server's, because a client needs a URL."""
    assert recognise(settings, "file.yaml") == kind


def test_files_of_both_kinds() -> None:
    """A file with options of both kinds is refused, and the error names one of each."""
    with pytest.raises(ConfigurationError, match=r"has 'tokens' of server\.yaml and 'url' of client\.yaml"):
        recognise({"url": "x", "tokens": []}, "file.yaml")


def test_the_kind_may_be_given(tmp_path: Path) -> None:
    """The given kind goes before the kind that the options show."""
    assert list(lines(tmp_path / "x.yaml", "tables: {}\nconnections: {}\n", "client").values()) == [
        "'url' is missing. Give it a value."
    ]
