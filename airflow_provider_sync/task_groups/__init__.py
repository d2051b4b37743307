"""Task groups that run each step of a sync as a separate task, and a DAG made from a ``client.yaml``."""
