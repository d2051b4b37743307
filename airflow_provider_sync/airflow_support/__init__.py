"""Code on Airflow's side that hooks, operators, sensors and commands share: connections, settings, errors, lineage, history."""
