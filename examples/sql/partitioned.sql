-- An audit table in PostgreSQL (12 or newer) with a partition for each month. Run this first, then postgresql.sql.
-- An existing table becomes a partition of the new one with ALTER TABLE ... ATTACH PARTITION.

CREATE SEQUENCE IF NOT EXISTS audit_log_id;
CREATE TABLE IF NOT EXISTS audit_log (
    id bigint NOT NULL DEFAULT nextval('audit_log_id'),
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    outcome text NOT NULL,
    additional_fields jsonb,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);

-- Full snapshots that outlive their month, and rows of months without a partition.
CREATE TABLE IF NOT EXISTS audit_log_rest PARTITION OF audit_log DEFAULT;

-- Create the partition of a month, before its first row is written. New partitions get all indexes of the table.
CREATE OR REPLACE PROCEDURE keyaudit_add_month(month date) LANGUAGE plpgsql
AS $$
DECLARE
    first date := date_trunc('month', month);
BEGIN
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS %I PARTITION OF audit_log FOR VALUES FROM (%L) TO (%L)',
        to_char(first, '"audit_log_"YYYY_MM'), first, (first + interval '1 month')::date
    );
END
$$;

-- Drop the partition of a month. Full snapshots to which later rows refer move to audit_log_rest first.
CREATE OR REPLACE PROCEDURE keyaudit_drop_month(month date) LANGUAGE plpgsql
AS $$
DECLARE
    name text := to_char(date_trunc('month', month), '"audit_log_"YYYY_MM');
BEGIN
    EXECUTE format('ALTER TABLE audit_log DETACH PARTITION %I', name);
    EXECUTE format(
        $kept$
        INSERT INTO audit_log SELECT o.* FROM %I AS o JOIN (
            SELECT min(id) AS id FROM (
                SELECT
                    id,
                    keyaudit_json(additional_fields) #>> '{request_api_key,digest}' AS digest
                FROM %1$I
                WHERE keyaudit_json(additional_fields) #>> '{request_api_key,detail}' = 'full'
                UNION ALL
                SELECT id, keyaudit_json(additional_fields) #>> '{api_key,digest}'
                FROM %1$I
                WHERE resource_type = 'api_key' AND keyaudit_json(additional_fields) #>> '{api_key,detail}' = 'full'
            ) AS f
            WHERE EXISTS (SELECT FROM key_rows AS r WHERE r.digest = f.digest)
                AND NOT EXISTS (SELECT FROM full_rows AS r WHERE r.digest = f.digest)
            GROUP BY digest
        ) AS kept ON kept.id = o.id
        $kept$, name
    );
    EXECUTE format('DROP TABLE %I', name);
END
$$;
