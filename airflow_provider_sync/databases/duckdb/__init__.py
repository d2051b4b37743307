"""DuckDB, from 2.0 on."""
