"""What Airflow's API server mounts: the sync server under a prefix of its own, and the page with the history of syncs."""
