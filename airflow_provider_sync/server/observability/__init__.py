"""Observability for the operator of the server: access log, audit log, metrics and readiness."""
