"""The log of a command: where its lines go, what they look like, and files that are rotated."""
