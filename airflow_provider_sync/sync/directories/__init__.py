"""Sync directories: compare manifests, download files that differ, delete files that the source lacks."""
