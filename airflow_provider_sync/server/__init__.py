"""The server half: named tables and directories, offered over HTTP. Nothing here knows of Airflow."""
