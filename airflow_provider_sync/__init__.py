"""Keep tables and directories in step between two servers, from Airflow."""

__version__ = "0.1.0"
