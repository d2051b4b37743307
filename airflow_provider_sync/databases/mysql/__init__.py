"""MySQL 8 and 9, and MariaDB."""
