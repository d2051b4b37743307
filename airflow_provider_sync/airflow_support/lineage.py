"""Report the data that a sync moved to Airflow: as asset events, hook lineage and OpenLineage.

How the server's tables and directories are written as assets is for `assets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
from airflow.providers.common.compat.sdk import Asset, AssetAlias, Context, get_hook_lineage_collector

from airflow_provider_sync.airflow_support.database_connections import engine_from_connection
from airflow_provider_sync.assets import asset_uri, offered_name
from airflow_provider_sync.config import ClientConfig, TargetDirectory
from airflow_provider_sync.databases.registry import entry_of
from airflow_provider_sync.printable import reason
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sync.run import RunPlan

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import OutputStatisticsOutputDatasetFacet
    from airflow.providers.openlineage.extractors import OperatorLineage


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One table or directory that was synced.

    :ivar source: URI of the table or directory at the server
    :ivar target: URI of its target, without credentials
    """

    source: str
    target: str
    report: TableReport | DirectoryReport


class ReportsLineage:
    """Let an operator report which data it moved; a mixin before ``BaseOperator``.

    :ivar flows: the data that the current try moved; OpenLineage reads it after the task
    """

    flows: tuple[Flow, ...] = ()

    def publish(self, context: Context, config: ClientConfig, plan: RunPlan, reports: Sequence[Report]) -> None:
        """Report to Airflow what a sync did; called once, after it succeeded.

        Outlets whose data did not change are removed from the task, so that they get no event. The events of the others carry
        reports in their extra, under ``reports``: for an outlet of the scheme ``sync`` the report of its own table or
        directory, for any other the reports of all that changed. If reporting fails, the log gets a warning.

        :param plan: with the ids of connections, or URLs, as the names of databases
        """
        emit_events(self, context, reports)
        try:
            self.flows = tuple(_flows(config, plan, reports))
            # Annotated as a hook, but any object will do: the collector only uses it to tell callers apart.
            collector: Any = get_hook_lineage_collector()
            for flow in self.flows:
                collector.add_input_asset(self, uri=flow.source)
                collector.add_output_asset(self, uri=flow.target)
        except Exception as error:  # noqa: BLE001  # a listener may be broken, and the data has arrived
            self.log.warning("The lineage of this sync is not reported: %s", error)  # type: ignore[attr-defined]  # BaseOperator's

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return inputs, and outputs with the numbers of what was written; OpenLineage's provider calls this."""
        from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset
        from airflow.providers.openlineage.extractors import OperatorLineage
        from airflow.providers.openlineage.utils.utils import translate_airflow_asset

        inputs, outputs = list[Any](), list[Any]()
        for flow in self.flows:
            # The provider of an asset's scheme names it for OpenLineage; assets without such a provider are left out.
            if source := translate_airflow_asset(Asset(uri=flow.source), None):
                inputs.append(InputDataset(namespace=source.namespace, name=source.name))
            if target := translate_airflow_asset(Asset(uri=flow.target), None):
                facets: dict[str, Any] = {"outputStatistics": _statistics(flow.report)}
                outputs.append(OutputDataset(namespace=target.namespace, name=target.name, outputFacets=facets))
        return OperatorLineage(inputs=inputs, outputs=outputs)


def emit_events(operator: Any, context: Context, reports: Sequence[Report], *, is_last: bool = True) -> None:
    """Add reports to the event of each outlet of a task, and remove outlets whose data did not change.

    An alias stays, since it has events only if the task itself adds them.

    :param operator: the running copy of the task, as in ``execute``; other runs keep all their outlets
    :param is_last: whether this is the last task of the sync; if not, only outlets that name one table or directory have events
    """
    kept = []
    changed = [report for report in reports if report.status == "changed"]
    for outlet in operator.outlets:
        if isinstance(outlet, AssetAlias):
            kept.append(outlet)
        elif changed:
            try:
                # Airflow looks up what is a mere reference to an asset.
                accessor: Any = context["outlet_events"][outlet]
            except Exception as error:  # noqa: BLE001  # it asks the API server, and the data has arrived
                operator.log.warning("The event of the outlet %r has no reports: %s", outlet, reason(error))
                kept.append(outlet)
                continue
            if concerned := [report.to_dict() for report in changed if _concerns(report, accessor.key.uri, is_last)]:
                accessor.extra = {**accessor.extra, "reports": concerned}
                kept.append(outlet)
    operator.outlets = kept


def _concerns(report: Report, uri: str, is_last: bool) -> bool:
    """Whether an asset has an event for a report: one of the scheme ``sync`` for that of its own table or directory."""
    named = offered_name(uri)
    return is_last if named is None else named == ("tables" if report.kind == "table" else "directories", report.name)


def _flows(config: ClientConfig, plan: RunPlan, reports: Sequence[Report]) -> Iterator[Flow]:
    by_directory = {report.name: report for report in reports if isinstance(report, DirectoryReport)}
    engine_of = cache(engine_from_connection)
    for report in reports:
        if isinstance(report, TableReport):
            conn_id, table = plan.find_table(report.name)
            engine = engine_of(conn_id)
            target = entry_of(engine).asset_uri(engine.url, table.table_name)
            yield Flow(source=asset_uri(config.url, "tables", table.name), target=target, report=report)
    for directory in plan.directories:
        if found := by_directory.get(directory.name):
            source = asset_uri(config.url, "directories", directory.name)
            yield Flow(source=source, target=_directory_uri(directory), report=found)


def _directory_uri(directory: TargetDirectory) -> str:
    parts = urlsplit(directory.path)
    if "://" not in directory.path:
        return f"file://{quote(str(Path(directory.path).absolute()))}"
    # The part before the @ is the id of a connection.
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _statistics(report: TableReport | DirectoryReport) -> OutputStatisticsOutputDatasetFacet:
    from airflow.providers.common.compat.openlineage.facet import OutputStatisticsOutputDatasetFacet

    if isinstance(report, TableReport):
        return OutputStatisticsOutputDatasetFacet(rowCount=report.rows_inserted + report.rows_updated)
    return OutputStatisticsOutputDatasetFacet(fileCount=report.files_added + report.files_updated, size=report.bytes_written)
