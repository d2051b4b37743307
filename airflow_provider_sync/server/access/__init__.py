"""Access control: tokens and their grants, client addresses, and rate limits."""
