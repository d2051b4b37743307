"""Sync tables: compare, stage, merge."""
