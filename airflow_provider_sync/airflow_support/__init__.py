"""What hooks, operators, sensors and commands share of Airflow's side: connections, settings, errors, lineage, history."""
