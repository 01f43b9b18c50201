-- Indexes and views over an audit table in PostgreSQL (12 or newer): which key did what.
-- Replace audit_log and its columns by your names; additional_fields may be jsonb, json or text. The script does not change
-- the table and can run again. On a table in use, create the indexes CONCURRENTLY.

-- Return the fields as jsonb for any type of the column. For jsonb the planner inlines the function, so it costs nothing.
CREATE OR REPLACE FUNCTION keyaudit_json(fields jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT fields';

-- Text that is not JSON, or that jsonb cannot hold (NaN, \u0000), has no key. An error here would refuse the row.
CREATE OR REPLACE FUNCTION keyaudit_json(fields text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE
AS 'BEGIN RETURN fields::jsonb; EXCEPTION WHEN data_exception THEN RETURN NULL; END';

CREATE OR REPLACE FUNCTION keyaudit_json(fields json) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE
AS 'BEGIN RETURN fields::text::jsonb; EXCEPTION WHEN data_exception THEN RETURN NULL; END';

-- The library's members of each row. PostgreSQL uses an index only for exactly the expression that is indexed.
CREATE OR REPLACE VIEW key_rows AS
SELECT
    id, at, actor, action, resource_type, resource_id, outcome,
    keyaudit_json(additional_fields) #> '{request_api_key}' AS member,
    keyaudit_json(additional_fields) #>> '{request_api_key,id}' AS key_id,
    keyaudit_json(additional_fields) #>> '{request_api_key,name}' AS key_name,
    keyaudit_json(additional_fields) #>> '{request_api_key,digest}' AS digest,
    keyaudit_json(additional_fields) #>> '{request_api_key,detail}' AS detail,
    keyaudit_json(additional_fields) #>> '{request_api_key,trace_id}' AS trace_id,
    keyaudit_json(additional_fields) #>> '{request_api_key,span_id}' AS span_id,
    keyaudit_json(additional_fields) #>> '{request_api_key,ambiguous}' AS ambiguous,
    keyaudit_json(additional_fields) #> '{request_api_key,ids}' AS key_ids,
    keyaudit_json(additional_fields) #> '{api_key}' AS subject,
    keyaudit_json(additional_fields) #>> '{api_key,id}' AS subject_id,
    keyaudit_json(additional_fields) #>> '{api_key,name}' AS subject_name,
    keyaudit_json(additional_fields) #>> '{api_key,digest}' AS subject_digest,
    keyaudit_json(additional_fields) #>> '{api_key,detail}' AS subject_detail
FROM audit_log;

CREATE INDEX IF NOT EXISTS keyaudit_key ON audit_log (
    (keyaudit_json(additional_fields) #>> '{request_api_key,id}'), id
);
CREATE INDEX IF NOT EXISTS keyaudit_digest ON audit_log (
    (keyaudit_json(additional_fields) #>> '{request_api_key,digest}'), id
);
CREATE INDEX IF NOT EXISTS keyaudit_full ON audit_log (
    (keyaudit_json(additional_fields) #>> '{request_api_key,digest}')
)
WHERE keyaudit_json(additional_fields) #>> '{request_api_key,detail}' = 'full';
CREATE INDEX IF NOT EXISTS keyaudit_ambiguous ON audit_log (id)
WHERE keyaudit_json(additional_fields) #>> '{request_api_key,ambiguous}' = 'true';
-- The member api_key is reserved only on audit targets with a subject. The condition must select the rows that they write.
CREATE INDEX IF NOT EXISTS keyaudit_subject ON audit_log (
    (keyaudit_json(additional_fields) #>> '{api_key,id}'), (keyaudit_json(additional_fields) #>> '{api_key,digest}'), id
)
WHERE resource_type = 'api_key';
ANALYZE audit_log;

CREATE OR REPLACE VIEW full_rows AS
SELECT digest, member
FROM key_rows
WHERE detail = 'full';

-- Actions of keys. The snapshot comes from the row itself if it is full, else from a full row with the same digest.
CREATE OR REPLACE VIEW key_actions AS
SELECT
    id, at, actor, action, resource_type, resource_id, outcome,
    key_id, key_name, digest, detail, trace_id, span_id,
    CASE detail WHEN 'full' THEN member ELSE coalesce(
        (SELECT f.member FROM full_rows AS f WHERE f.digest = r.digest LIMIT 1),
        (SELECT f.subject FROM key_rows AS f WHERE f.resource_type = 'api_key' AND f.subject_id = r.key_id
            AND f.subject_digest = r.digest AND f.subject_detail = 'full' LIMIT 1)
    ) END AS snapshot
FROM key_rows AS r
WHERE key_id IS NOT NULL;

-- Changes of keys, with the key that made them.
CREATE OR REPLACE VIEW key_subjects AS
SELECT
    id, at, actor, action, outcome,
    subject_id, subject_name, subject_digest, subject_detail, key_id AS by_key_id, key_name AS by_key_name, trace_id
FROM key_rows
WHERE resource_type = 'api_key' AND subject_id IS NOT NULL;

-- Rows of requests in which several keys were accepted; key_ids lists them.
CREATE OR REPLACE VIEW ambiguous_actions AS
SELECT id, at, actor, action, resource_type, resource_id, outcome, key_ids, trace_id, span_id
FROM key_rows
WHERE ambiguous = 'true';

-- Rows without a key.
CREATE OR REPLACE VIEW keyless_actions AS
SELECT id, at, actor, action, resource_type, resource_id, outcome
FROM key_rows
WHERE key_id IS NULL AND ambiguous IS NULL;

-- Every snapshot once, with the first and the last row that names it. The query jumps from digest to digest in the index.
CREATE OR REPLACE VIEW key_snapshots AS
WITH RECURSIVE
leap (digest) AS (
    SELECT min(digest) FROM key_rows
    UNION ALL
    SELECT (SELECT min(r.digest) FROM key_rows AS r WHERE r.digest > leap.digest) FROM leap WHERE digest IS NOT NULL
),
used (key_id, digest, first_id, last_id) AS (
    SELECT
        (SELECT r.key_id FROM key_rows AS r WHERE r.digest = leap.digest ORDER BY r.id DESC LIMIT 1), -- the last is short
        digest,
        (SELECT min(r.id) FROM key_rows AS r WHERE r.digest = leap.digest),
        (SELECT max(r.id) FROM key_rows AS r WHERE r.digest = leap.digest)
    FROM leap
    WHERE digest IS NOT NULL
),
named (key_id, digest, first_id, last_id) AS (
    SELECT key_id, digest, first_id, last_id FROM used
    UNION ALL
    SELECT subject_id, subject_digest, min(id), max(id) FROM key_subjects GROUP BY subject_id, subject_digest
)
SELECT key_id, digest, min(first_id) AS first_id, max(last_id) AS last_id
FROM named
GROUP BY key_id, digest;

-- Changes of snapshots, with the first row that names the new one.
CREATE OR REPLACE VIEW key_changes AS
SELECT
    c.key_id, c.first_id AS id, (SELECT r.at FROM audit_log AS r WHERE r.id = c.first_id) AS at,
    c.previous_digest, c.digest,
    coalesce(
        (SELECT f.member FROM full_rows AS f WHERE f.digest = c.previous_digest LIMIT 1),
        (SELECT f.subject FROM key_rows AS f WHERE f.resource_type = 'api_key' AND f.subject_id = c.key_id
            AND f.subject_digest = c.previous_digest AND f.subject_detail = 'full' LIMIT 1)
    ) AS previous_snapshot,
    coalesce(
        (SELECT f.member FROM full_rows AS f WHERE f.digest = c.digest LIMIT 1),
        (SELECT f.subject FROM key_rows AS f WHERE f.resource_type = 'api_key' AND f.subject_id = c.key_id
            AND f.subject_digest = c.digest AND f.subject_detail = 'full' LIMIT 1)
    ) AS snapshot
FROM (
    SELECT
        key_id, first_id, digest,
        lag(digest) OVER (PARTITION BY key_id ORDER BY first_id, last_id) AS previous_digest
    FROM key_snapshots
) AS c
WHERE c.previous_digest IS NOT NULL;

-- Values that were added or removed in each change. A snapshot that no row has in full is not compared.
CREATE OR REPLACE VIEW key_differences AS
SELECT c.key_id, c.id, c.at, c.previous_digest, c.digest, min(side.change) AS change, m.field, i.value
FROM key_changes AS c
CROSS JOIN (VALUES ('removed'), ('added')) AS side (change)
CROSS JOIN LATERAL (SELECT CASE side.change WHEN 'removed' THEN c.previous_snapshot ELSE c.snapshot END) AS s (snapshot)
CROSS JOIN LATERAL (
    SELECT key, value FROM jsonb_each(s.snapshot - 'effective_scope')
    UNION ALL
    SELECT 'effective_scope.' || key, value FROM jsonb_each(s.snapshot -> 'effective_scope')
) AS m (field, content)
CROSS JOIN LATERAL jsonb_array_elements_text(
    CASE WHEN jsonb_typeof(content) <> 'array' OR content = '[]' THEN jsonb_build_array(content) ELSE content END
) AS i (value)
WHERE c.previous_snapshot IS NOT NULL AND c.snapshot IS NOT NULL
    AND m.field NOT IN ('id', 'digest', 'detail', 'trace_id', 'span_id')
GROUP BY 1, 2, 3, 4, 5, 7, 8
HAVING min(side.change) = max(side.change);
