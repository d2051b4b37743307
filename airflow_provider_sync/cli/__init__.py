"""The commands of ``airflow-sync``."""
