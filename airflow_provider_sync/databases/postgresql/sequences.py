"""Sequences of PostgreSQL that give keys to a table: moved past the keys that a merge has inserted."""

from __future__ import annotations

from sqlalchemy import Connection

# Those that a column owns (serial, identity), and those that its default names.
_SEQUENCES = """
SELECT s.seqrelid::regclass::text, quote_ident(a.attname), used.relation::regclass::text,
       s.seqincrement > 0, s.seqmin, s.seqmax
FROM (
    SELECT objid AS sequence, refobjid AS relation, refobjsubid AS attnum FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0
    UNION
    SELECT p.refobjid, f.adrelid, f.adnum FROM pg_depend p JOIN pg_attrdef f ON f.oid = p.objid
    WHERE p.classid = 'pg_attrdef'::regclass AND p.refclassid = 'pg_class'::regclass AND p.deptype = 'n'
) AS used
JOIN pg_sequence s ON s.seqrelid = used.sequence
JOIN pg_attribute a ON a.attrelid = used.relation AND a.attnum = used.attnum AND NOT a.attisdropped
WHERE used.relation = to_regclass(%s)
  AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype)
ORDER BY s.seqrelid
"""


def move_past_keys(connection: Connection, quoted: str) -> None:
    """Move the sequences of the table ``quoted`` past its highest values, and never back.

    Values that a sequence cannot reach are left out: it would never give them.
    """
    for row in connection.exec_driver_sql(_SEQUENCES, (quoted,)).all():
        # Names come quoted by the server, and so without the doubled percent signs that the driver expects.
        sequence, column, table = (name.replace("%", "%%") for name in row[:3])
        ascending, lowest, highest = row[3:]
        furthest, beyond = ("max", ">") if ascending else ("min", "<")
        connection.exec_driver_sql(
            f"SELECT setval(%s, k.value::bigint) FROM {sequence} s,"
            f" (SELECT {furthest}({column}) AS value FROM {table} WHERE {column} BETWEEN {lowest} AND {highest}) k"
            f" WHERE k.value {beyond} s.last_value OR (k.value = s.last_value AND NOT s.is_called)",
            (row[0],),
        ).all()
