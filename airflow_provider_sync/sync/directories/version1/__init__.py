"""Directories by version 1 of the protocol: manifests as a whole, files that differ in frames.

For existing servers, for ``protocol: 1``, and for hashers of the user's own.
"""
