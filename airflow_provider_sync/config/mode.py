"""The option ``mode`` of a target table: what a sync does with rows that change, and with rows that the source lacks.

Here are the rules between options; what the target's columns must be like is in
:mod:`airflow_provider_sync.sync.tables.mode_columns`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

Mode = Literal["mirror", "upsert", "append", "soft_delete", "history"]
"""What a merge does:

===============  =========================  =======================  ====================================
mode             a row that is new          a row that differs       a row that the source lacks
===============  =========================  =======================  ====================================
``mirror``       is inserted                is updated               is deleted
``upsert``       is inserted                is updated               stays
``append``       is inserted                stays                    stays
``soft_delete``  is inserted                is updated               stays, and gets the time of the sync
``history``      gets its first version     gets another version     its version ends
===============  =========================  =======================  ====================================
"""

MODE_COLUMNS: Mapping[Mode, tuple[str, ...]] = {
    "soft_delete": ("deleted_at",),
    "history": ("valid_from", "valid_to", "is_current"),
}
"""Options that name the columns of a mode, which only the target has."""


def mode_mistakes(
    mode: Mode,
    names: Mapping[str, str],
    *,
    given: Collection[str],
    primary_key: Collection[str],
    renamed: Collection[str],
    has_hasher: bool,
) -> Iterator[str]:
    """Yield what does not go together with a mode, as messages that begin with an option's name.

    :param names: by option, the names of the columns of all modes
    :param given: the options that were set
    :param primary_key: the value of ``primary``
    :param renamed: the names that ``renames`` gives to columns
    """
    own = MODE_COLUMNS.get(mode, ())
    for other, options in MODE_COLUMNS.items():
        for option in options:
            if option in given and other != mode:
                yield f"{option} is for mode {other}, and mode is {mode}. Leave {option} out, or set mode: {other}."
    columns: dict[str, str] = {}
    for option in own:
        name = names[option]
        if name in columns:
            yield f"{option} names the column {name!r}, and so does {columns[name]}. Name two columns."
        columns[name] = option
        if name in primary_key:
            yield f"primary names {name!r}, which mode {mode} writes. Name only columns that identify a row of the source."
        if name in renamed:
            yield f"renames calls a column {name!r}, which mode {mode} needs for itself. Name another column with {option}."
    if own and has_hasher:
        yield (
            f"hasher hashes all rows of the target, and with mode {mode} some of them are not the source's. Leave hasher out, or"
            " take another mode."
        )
