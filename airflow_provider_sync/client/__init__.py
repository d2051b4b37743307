"""The client's side of the protocol, over HTTP.

:class:`SyncClient` sends requests and checks that the answers conform to the protocol. Writing the received rows and files to
databases and directories belongs to ``sync``.
"""

from airflow_provider_sync.client.body import Traffic
from airflow_provider_sync.client.sync_client import SyncClient
from airflow_provider_sync.client.table_streams import DescribedAnswer, RowDigestsAnswer, RowsAnswer
from airflow_provider_sync.client.version1_answers import FilesAnswer, TableAnswer

__all__ = ["DescribedAnswer", "FilesAnswer", "RowDigestsAnswer", "RowsAnswer", "SyncClient", "TableAnswer", "Traffic"]
