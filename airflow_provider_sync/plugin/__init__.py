"""What the API server of Airflow gets: the sync server under a prefix of its own, and the page with the history of syncs."""
