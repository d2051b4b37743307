"""Which engines a test is for, where not each of them adds something."""

from __future__ import annotations

import pytest


def on_engines(*engines: str) -> pytest.MarkDecorator:
    """Run a test that asks for a database of each engine on these only, since its promise is about what is above the engines.

    :param engines: of :data:`tests.database_servers.ENGINES`; one with a server should be among them
    """
    return pytest.mark.parametrize("database_url", engines, indirect=True)
