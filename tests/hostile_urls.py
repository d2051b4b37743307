"""URLs whose secrets are hard to find; each place that hides secrets is tested against all of them.

Each has a secret with the words ``tulip`` and ``garden``, which no other part has.
"""

from __future__ import annotations

HOSTILE_URLS = (
    "mysql://user:tulip%40garden@db/shop",
    "mysql+pymysql://user:tulip%2Fgarden@db:3306/shop",
    "mysql://user:tulip/garden@db/shop",
    "mysql://user:tulip?garden@db/shop",
    "mysql://user:tulip?a=b&c/garden@db/shop?charset=utf8mb4",
    "mysql://user:tulip#garden@db/shop",
    "mysql://user:tulip garden@db/shop",
    "mysql://user:tulip@garden@db/shop",
    "mysql://user:tulip garden@@db/shop",
    "mysql://user:tulip@/garden@db/shop",
    "mysql://user:tulip:garden@db/shop",
    "mysql://user:tulip'\"`;,)garden@db/shop",
    "mysql://user:tulip\\garden@db/shop",
    "mysql://user:tulip-garden-ü@db/shop",
    "mysql://user:2024/tulip/garden@db/shop",
    "mysql://user:tulip://garden@db/shop",
    "mysql://:tulip-garden@db/shop",
    "mysql://user@company:tulip/garden@db/shop",
    "postgresql://us%3Aer:tulip-garden@[::1]:5432/db/shop",
    "postgresql://user:tulip-garden@db/shop?user=me@company",
    "postgresql://db/shop?user=me&password=tulip/garden",
    "postgresql://db/shop?PASSWORD=tulip%40garden&user=me",
    "postgresql://db:5432/shop?password=tulip@garden",
    "postgresql://me@db:5432/shop?sslpassword=tulip;garden,#&sslmode=require",
    "mysql://user@db/shop?passwd=tulip)]}garden",
    "mysql+mysqlconnector://user@db/shop?password2=tulip-garden",
    "duckdb:///db/shop?motherduck_token=tulip-garden",
    "https://user:tulip/garden@db/shop",
    "https://user:tulip-garden@db:8443/shop?page=2",
    "https://db/shop?X-Amz-Security-Token=tulip/garden==&X-Amz-Expires=60",
    "http://db:8080/shop?api_key=tulip-garden",
)

HARMLESS_URLS = (
    "http://db:8080/shop/me@company",
    "http://db:8080/shop?user=me@company",
    "http://db:8080: row me@company",
    "https://db: row me@company",
    "'http://db:8080', me@company",
    "s3://connection@bucket/shop",
    "s3://connection@bucket: row me@company",
    "sqlite:////home/me@work/x.db",
    "sqlite:///C:/me@work/x.db",
    "mysql://user@db:3306/shop?ssl_key=/etc/client.key&page_token_size=2",
    "postgresql://me@db/shop?sslkey=/etc/client.key&passfile=/home/me/.pgpass",
    "airflow://warehouse",
)
"""URLs and text with them that have no secret."""
