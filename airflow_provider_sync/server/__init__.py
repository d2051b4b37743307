"""The server half: offers named tables and directories over HTTP. It works without Airflow."""
