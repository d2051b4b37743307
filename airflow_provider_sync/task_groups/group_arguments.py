"""Arguments of a group that is given those of its tasks, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_sync.exceptions import ConfigurationError

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


def by_step(
    steps: Sequence[str], arguments: Mapping[str, Any], step_arguments: Mapping[str, Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Return the arguments of each step: those of all, and its own instead where it has some.

    :raises ConfigurationError: when ``step_arguments`` names what is no step
    """
    own = step_arguments or {}
    if unknown := sorted(own.keys() - set(steps)):
        raise ConfigurationError(f"step_arguments names {', '.join(unknown)}. The steps are {', '.join(steps)}.")
    return [{**arguments, **own.get(step, {})} for step in steps]


def default_id(names: object) -> str:
    """Name a group by the one thing that it is about, or ``sync``."""
    return f"sync_{names}" if isinstance(names, str) and names.isidentifier() else "sync"
