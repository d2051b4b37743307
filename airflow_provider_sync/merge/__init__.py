"""Make target tables equal to their staging tables: staging, merge, direct load, unique keys, order by foreign keys."""
