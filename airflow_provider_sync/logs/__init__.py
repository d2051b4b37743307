"""Logging of commands and the server: destination, format and rotated files."""
