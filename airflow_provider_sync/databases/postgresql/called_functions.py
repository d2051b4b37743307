"""SQL that finds the user-defined functions that PostgreSQL calls when rows of a table are written.

Checks, defaults, generated columns, indexes, exclusion constraints, policies and partition keys call them, and so do the domains,
operators and operator classes that these or the columns use. The declared volatility is no guarantee: an IMMUTABLE function may
call another function that writes.
"""

CALLED_FUNCTIONS = """
reached(described, classid, objid) AS (
    SELECT described, 'pg_class'::regclass::oid, oid FROM involved
    UNION
    SELECT i.described, 'pg_class'::regclass, p.relid FROM involved i, pg_partition_ancestors(i.described::regclass) AS p
    WHERE i.oid = i.described
    UNION
    SELECT r.described, used.classid, used.objid FROM reached r CROSS JOIN LATERAL (
        SELECT d.refclassid, d.refobjid FROM pg_depend d
        WHERE d.classid = r.classid AND d.objid = r.objid
          AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_type'::regclass)
        UNION ALL
        SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c
        WHERE (c.conrelid = r.objid AND r.classid = 'pg_class'::regclass)
           OR (c.contypid = r.objid AND r.classid = 'pg_type'::regclass)
        UNION ALL
        SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a WHERE r.classid = 'pg_class'::regclass AND a.adrelid = r.objid
        UNION ALL
        SELECT 'pg_class'::regclass, x.indexrelid FROM pg_index x WHERE r.classid = 'pg_class'::regclass AND x.indrelid = r.objid
        UNION ALL
        SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p WHERE r.classid = 'pg_class'::regclass AND p.polrelid = r.objid
        UNION ALL
        SELECT 'pg_class'::regclass, t.typrelid FROM pg_type t
        WHERE r.classid = 'pg_type'::regclass AND t.oid = r.objid AND t.typtype = 'c'
        UNION ALL
        SELECT 'pg_proc'::regclass, f.amproc FROM pg_opclass o JOIN pg_amproc f ON f.amprocfamily = o.opcfamily
        WHERE r.classid = 'pg_opclass'::regclass AND o.oid = r.objid
        UNION ALL
        SELECT 'pg_operator'::regclass, m.amopopr FROM pg_opclass o JOIN pg_amop m ON m.amopfamily = o.opcfamily
        WHERE r.classid = 'pg_opclass'::regclass AND o.oid = r.objid
    ) AS used(classid, objid)
), called AS (
    SELECT r.described, p.proname::text AS name FROM reached r
    JOIN pg_proc p ON r.classid = 'pg_proc'::regclass AND p.oid = r.objid
    JOIN pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
)
"""
"""Two common table expressions: ``reached`` has the objects that a table uses, ``called`` the names of functions among them.

They belong into a ``WITH RECURSIVE`` after ``involved``, which pairs each described table with itself and its partitions.
Column types lead to their domains, and domains to their constraints; functions of the server itself, and functions in C, are
left out.

The server reserves memory for as many rows as it expects. So what leads to ``reached`` is written such that it expects few:
with thousands of times as many as there are, reserving took longer than all the rest.
"""
