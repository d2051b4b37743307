"""What a server may say of indexes, foreign keys, defaults and comments."""

from __future__ import annotations

import msgspec
import pytest

from airflow_provider_sync.protocol.v2.described_details import ForeignKeyDescription, IndexDescription, TableDetails


@pytest.mark.parametrize("name", ["", "a\0b", "\0", "a\0\n", "x" * 256])
def test_names_that_nothing_can_have(name: str) -> None:
    """An empty, too long or statement-breaking name is refused for every kind of detail."""
    for details in (
        TableDetails(indexes=(IndexDescription(name=name, columns=("id",)),)),
        TableDetails(indexes=(IndexDescription(name="i", columns=(name,)),)),
        TableDetails(indexes=(IndexDescription(name="i", columns=("id",), descending=(name,)),)),
        TableDetails(foreign_keys=(_foreign_key(name=name),)),
        TableDetails(foreign_keys=(_foreign_key(parent=name),)),
        TableDetails(foreign_keys=(_foreign_key(parent_columns=(name,)),)),
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(msgspec.msgpack.encode(details), type=TableDetails)


@pytest.mark.parametrize("name", ["a", "two\nlines\n", "x'); DROP TABLE u; -- \"", "ä" * 255])
def test_odd_names(name: str) -> None:
    """Every name that a database allows arrives unchanged."""
    details = TableDetails(indexes=(IndexDescription(name=name, columns=(name,)),), foreign_keys=(_foreign_key(name=name),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(details), type=TableDetails) == details


def _foreign_key(**changes: object) -> ForeignKeyDescription:
    key = ForeignKeyDescription(name="k", columns=("id",), parent="p", parent_columns=("id",))
    return msgspec.structs.replace(key, **changes)
