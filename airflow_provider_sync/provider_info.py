"""The provider's metadata for Airflow, as plain data. Importing this module imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

INTEGRATION = "Sync server"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as Airflow's ``provider_info.schema.json`` describes it.

    Every ``airflow`` command calls this, so it stays free of imports. Airflow 3.2 and newer build the connection form
    from ``connection-types``; 3.1 calls the hook's methods instead.
    """
    return {
        "package-name": "airflow-provider-sync",
        "name": "Sync",
        "description": "Keep tables and directories equal to those of another server, over plain HTTP.",
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "logo": "/docs/images/logo.svg",
                "how-to-guide": [f"/docs/how-to/{page}.md" for page in _GUIDES],
                "tags": ["protocol"],
            }
        ],
        "transfers": _TRANSFERS,
        "hooks": [
            {
                "integration-name": INTEGRATION,
                "python-modules": ["airflow_provider_sync.hooks.sync_server"],
            }
        ],
        "operators": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [
                    "airflow_provider_sync.operators.table_sync",
                    "airflow_provider_sync.operators.table_steps",
                    "airflow_provider_sync.operators.file_sync",
                    "airflow_provider_sync.operators.file_steps",
                    "airflow_provider_sync.operators.sync_list",
                    "airflow_provider_sync.operators.sync_check",
                    "airflow_provider_sync.operators.configured_sync",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [
                    "airflow_provider_sync.sensors.table_changed",
                    "airflow_provider_sync.sensors.files_changed",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [
                    "airflow_provider_sync.triggers.source_moved",
                    "airflow_provider_sync.triggers.table_changed",
                    "airflow_provider_sync.triggers.files_changed",
                ],
            }
        ],
        "asset-uris": [
            {
                "schemes": ["sync"],
                "handler": "airflow_provider_sync.assets.sanitize_uri",
                "factory": "airflow_provider_sync.assets.create_asset",
                "to_openlineage_converter": "airflow_provider_sync.assets.convert_asset_to_openlineage",
            }
        ],
        "notifications": ["airflow_provider_sync.notifications.sync_report.SyncReportNotifier"],
        "extra-links": ["airflow_provider_sync.operators.history_link.SyncHistoryLink"],
        "connection-types": [
            {
                "connection-type": "sync",
                "hook-class-name": "airflow_provider_sync.hooks.sync_server.SyncServerHook",
                "hook-name": "Sync server",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "Base URL",
                        # A hidden port is saved as none, and with none Airflow 3.3's Test button in the list answers 400.
                        "port": "Port (0: as in the URL)",
                        "login": "Login (basic authentication only)",
                        "password": "Token or password",
                    },
                    "placeholders": {
                        "host": "https://source.example/api/sync",
                        "port": "0",
                        "login": "leave empty to use a token",
                        "password": "bearer token",
                    },
                },
                "conn-fields": {
                    "timeout": {
                        "label": "Timeout",
                        "description": "Seconds to wait for a connection, and for each further piece of an answer.",
                        "schema": {"type": ["number", "null"], "default": 60},
                    },
                    "retries": {
                        "label": "Retries",
                        "description": "Attempts after a transient failure, such as no answer or status 503.",
                        "schema": {"type": ["integer", "null"], "default": 3, "minimum": 0},
                    },
                    "verify": {
                        "label": "Verify the certificate",
                        "description": "The path of a bundle of authorities can be given in Extra Fields JSON.",
                        "schema": {"type": ["boolean", "null"], "default": True},
                    },
                    "protocol": {
                        "label": "Protocol",
                        "description": "Version of the protocol; auto asks the server.",
                        "schema": {"type": ["string", "null"], "enum": ["auto", "1", "2"], "default": "auto"},
                    },
                    "time_zone": {
                        "label": "Time zone",
                        "description": "Of the server's database, such as Europe/Berlin; only for version 1.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "headers": {
                        "label": "Headers",
                        "description": "JSON object of headers to send with every request.",
                        "schema": {"type": ["object", "null"]},
                    },
                },
            }
        ],
        # Airflow loads the plugin by its entry point; this entry is for lists of providers' plugins, such as OpenLineage's.
        "plugins": [{"name": "sync", "plugin-class": "airflow_provider_sync.plugin.sync_plugin.SyncPlugin"}],
        "cli": ["airflow_provider_sync.cli.airflow_group.get_airflow_commands"],
        "config": _CONFIG,
    }


_GUIDES = ("airflow", "schedule", "whole-databases", "modes", "freshness", "status-page", "serve-in-airflow")

# Other providers describe these integrations.
_TRANSFERS = [
    {
        "source-integration-name": INTEGRATION,
        "target-integration-name": target,
        "how-to-guide": "/docs/how-to/airflow.md",
        "python-module": f"airflow_provider_sync.operators.{module}",
    }
    for module, targets in (
        ("table_sync", ("MySQL", "PostgreSQL", "SQLite", "DuckDB")),
        ("file_sync", ("Amazon Simple Storage Service (S3)", "Google Cloud Storage (GCS)")),
    )
    for target in targets
]

_CONFIG: dict[str, Any] = {
    "sync": {
        "description": "Settings of the provider airflow-provider-sync for all its syncs.",
        "options": {
            "server_config": {
                "description": "Path of a server.yaml whose tables and directories Airflow's API server offers;"
                " if empty, it offers none.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "/etc/airflow/server.yaml",
                "default": "",
            },
            "server_prefix": {
                "description": "Path of the API server below which the sync server answers.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "/sync",
                "default": "/sync",
            },
            "server_airflow_tokens": {
                "description": "Whether the sync server in the API server also accepts Airflow's own tokens,"
                " of users who may read connections.",
                "version_added": "0.1.0",
                "type": "boolean",
                "example": "True",
                "default": "False",
            },
            "history": {
                "description": "Where records of syncs are kept: an SQLAlchemy URL, or airflow://CONN_ID; if empty,"
                " in the file sync-history.db in Airflow's home.",
                "version_added": "0.1.0",
                "type": "string",
                "sensitive": True,
                "example": "postgresql+psycopg2://user:password@db.example/history",
                "default": "",
            },
            "history_days": {
                "description": "Number of days for which records are kept.",
                "version_added": "0.1.0",
                "type": "integer",
                "example": "90",
                "default": "90",
            },
            "cache": {
                "description": "Path of the file that remembers the digests of files of targets, so that only changed ones are"
                " read again; false for none; if empty, airflow-provider-sync/digests.sqlite in the user's folder for caches.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "/var/cache/airflow/digests.sqlite",
                "default": "",
            },
        },
    }
}
