"""Sync directories by protocol version 1: compare whole manifests, and download files that differ as frames.

Used for existing servers, with ``protocol: 1``, and for custom hashers.
"""
