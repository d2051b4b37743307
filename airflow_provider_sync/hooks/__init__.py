"""The hook of the connection type ``sync``."""
