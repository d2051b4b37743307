"""What the server tells whoever runs it: one line per request, an audit log, metrics, and whether it is ready."""
