"""The server as a process: its sockets, its signals, and how it ends."""
