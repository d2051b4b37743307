"""The server's table endpoints, in both protocol versions."""
