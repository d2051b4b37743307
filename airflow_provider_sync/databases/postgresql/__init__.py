"""PostgreSQL, reached by psycopg 3 or psycopg2."""
