"""The server's directory endpoints, in both protocol versions."""
