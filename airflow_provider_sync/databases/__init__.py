"""Databases: one contract, one package per engine, and everything that engines share.

Knows nothing of HTTP and nothing of the other side. Open a database with :mod:`.registry`.
"""
