"""What the server answers about directories, in both versions of the protocol."""
