-- Delete the audit rows before a time, in SQLite and PostgreSQL. Run sqlite.sql or postgresql.sql first. For each digest that a later row names and no later row has in full, the last full row stays.
DELETE FROM audit_log
WHERE at < :before AND id NOT IN (
    SELECT max(f.id)
    FROM (
        SELECT id, at, digest FROM key_rows WHERE detail = 'full'
        UNION ALL
        SELECT id, at, subject_digest FROM key_rows WHERE resource_type = 'api_key' AND subject_detail = 'full'
    ) AS f
    WHERE f.at < :before
        AND EXISTS (SELECT 1 FROM key_rows AS r WHERE r.digest = f.digest AND r.at >= :before)
        AND NOT EXISTS (SELECT 1 FROM key_rows AS r WHERE r.digest = f.digest AND r.detail = 'full' AND r.at >= :before)
    GROUP BY f.digest
);
