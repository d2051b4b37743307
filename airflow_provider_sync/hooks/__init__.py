"""Airflow connections turned into what the core works with: a client, a database, a storage."""
