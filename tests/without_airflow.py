"""A pytest plugin that makes every import of Airflow fail, as where it is not installed, and can keep a share of the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import groupby
from types import ModuleType

import pytest


class _NoAirflow(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "airflow":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


sys.meta_path.insert(0, _NoAirflow())


@pytest.hookimpl(trylast=True)  # of what -k and -m have left
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the first of every ``SYNC_TEST_ONE_IN`` tests of each file; all without that variable."""
    step = int(os.environ.get("SYNC_TEST_ONE_IN", "1"))
    items[:] = [item for _, group in groupby(items, lambda item: item.path) for item in list(group)[::step]]
