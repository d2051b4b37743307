"""Operators that sync tables and directories, in one task or in steps; each makes one call into ``sync``."""
