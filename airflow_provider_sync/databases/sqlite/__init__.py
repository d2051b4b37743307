"""SQLite, from 3.37 on."""
