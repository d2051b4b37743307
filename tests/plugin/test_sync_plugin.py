"""What the plugin costs processes that have no use for it."""

from __future__ import annotations

import subprocess
import sys

MEASURE = """
import sys
import airflow.sdk, airflow.plugins_manager
from airflow.providers.common.compat.sdk import AirflowPlugin, BaseOperatorLink, conf
before = set(sys.modules)
from airflow_provider_sync.plugin.sync_plugin import SyncPlugin
plugin = SyncPlugin()
plugin.external_views
print(*sorted(set(sys.modules) - before))
"""


def test_import() -> None:
    """Loading the plugin imports only itself and the address of its page, in every process."""
    result = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    # The package itself is there already where provider metadata has been read.
    assert [name for name in result.stdout.splitlines()[-1].split() if name != "airflow_provider_sync"] == [
        "airflow_provider_sync.operators",
        "airflow_provider_sync.operators.history_link",
        "airflow_provider_sync.plugin",
        "airflow_provider_sync.plugin.sync_plugin",
    ]
