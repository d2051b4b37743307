"""The option ``mode`` and those that go with it: what does not go together is refused, with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mode": "archive"},
            r"'t': mode must be 'mirror', 'upsert', 'append', 'soft_delete' or 'history', not the text 'archive'\.",
        ),
        (
            {"deleted_at": "gone"},
            r"'t': deleted_at is for mode soft_delete, and mode is mirror\. Leave deleted_at out, or set",
        ),
        ({"mode": "history", "deleted_at": "gone"}, "deleted_at is for mode soft_delete, and mode is history"),
        ({"mode": "soft_delete", "valid_to": "until"}, "valid_to is for mode history, and mode is soft_delete"),
        ({"mode": "upsert", "is_current": "now"}, "is_current is for mode history, and mode is upsert"),
        ({"mode": "history", "valid_to": "valid_from"}, "valid_to names the column 'valid_from', and so does valid_from"),
        ({"mode": "history", "primary": ["id", "valid_from"]}, "primary names 'valid_from', which mode history writes"),
        ({"mode": "soft_delete", "renames": {"a": "deleted_at"}}, "renames calls a column 'deleted_at'.*with deleted_at"),
        ({"mode": "soft_delete", "hasher": "a.B"}, "hasher hashes all rows of the target.*mode soft_delete"),
        ({"mode": "history", "hasher": "a.B"}, "hasher hashes all rows of the target.*mode history"),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], message: str) -> None:
    """A mode, or an option of another mode, that cannot be used is refused by name, with what to do."""
    with pytest.raises(ConfigurationError, match=message):
        table_from_options("t", options)


def test_defaults() -> None:
    """Without the option, a table is a mirror, and columns have the default names."""
    assert table_from_options("t", {}).mode == "mirror"
    assert table_from_options("t", {}).mode_columns == {}
    assert table_from_options("t", {"mode": "soft_delete"}).mode_columns == {"deleted_at": "deleted_at"}
    history = table_from_options("t", {"mode": "history", "valid_from": "since"})
    assert history.mode_columns == {"valid_from": "since", "valid_to": "valid_to", "is_current": "is_current"}
