"""Arguments of a group that is given those of its tasks, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_GROUP = frozenset(
    {
        "add_suffix_on_collision",
        "dag",
        "default_args",
        "group_display_name",
        "parent_group",
        "prefix_group_id",
        "tooltip",
        "ui_color",
        "ui_fgcolor",
    }
)


def split_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a ``TaskGroup`` takes, and the rest, which is for its tasks."""
    of_group = {name: value for name, value in arguments.items() if name in _OF_GROUP}
    return of_group, {name: value for name, value in arguments.items() if name not in _OF_GROUP}


def default_id(names: object) -> str:
    """Name a group by the one thing that it is about, or ``sync``."""
    return f"sync_{names}" if isinstance(names, str) and names.isidentifier() else "sync"
