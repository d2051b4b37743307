"""The Airflow plugin: mounts the sync server and the page with the history of syncs in Airflow's API server."""
