"""A plugin of pytest that leaves only the tests of one engine: ``-p tests.releases.one_engine`` with ``SYNC_TEST_ENGINE`` set.

Tests between two engines are left out as well: the other engine would only take time.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.database_servers import ENGINES

ENGINE = "SYNC_TEST_ENGINE"


# Before pytest-xdist divides what is left.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what uses another engine, or none."""
    wanted = {os.environ[ENGINE]}
    kept = [item for item in items if _engines(item) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _engines(item: pytest.Item) -> set[str]:
    """Return the engines that a test uses, by its parameters and its fixtures."""
    parameters = item.name.partition("[")[2].rstrip("]")
    fixtures = " ".join(getattr(item, "fixturenames", ()))
    return set(re.findall(rf"(?:^|[-\s])({'|'.join(ENGINES)})(?=-|$|\s|_url|_on)", f"{parameters} {fixtures}"))
