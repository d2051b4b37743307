"""Notifiers: messages about what syncs did, for the callbacks of tasks and DAGs, and for deadlines."""
