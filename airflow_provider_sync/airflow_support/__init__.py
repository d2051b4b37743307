"""What hooks, operators and sensors share; Airflow's side of the sync, without its public classes."""
