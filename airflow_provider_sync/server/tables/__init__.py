"""What the server answers about tables, in both versions of the protocol."""
