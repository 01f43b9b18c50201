-- Indexes and views over an audit table in SQLite (3.25 or newer, with its JSON functions): which key did what.
-- Replace audit_log and its columns by your names. The script does not change the table and can run again.

DROP VIEW IF EXISTS key_differences;
DROP VIEW IF EXISTS key_changes;
DROP VIEW IF EXISTS key_snapshots;
DROP VIEW IF EXISTS key_subjects;
DROP VIEW IF EXISTS keyless_actions;
DROP VIEW IF EXISTS ambiguous_actions;
DROP VIEW IF EXISTS key_actions;
DROP VIEW IF EXISTS full_rows;
DROP VIEW IF EXISTS key_rows;

-- The library's members of each row. Without json_valid, SQLite would refuse rows whose fields are not JSON, because the
-- indexes could not be computed. SQLite uses an index only for exactly the expression that is indexed.
CREATE VIEW key_rows AS
SELECT
    id, at, actor, action, resource_type, resource_id, outcome,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key') END AS member,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.id') END AS key_id,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.name') END AS key_name,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.digest') END AS digest,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.detail') END AS detail,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.trace_id') END AS trace_id,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.span_id') END AS span_id,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.ambiguous') END AS ambiguous,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key') END AS subject,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key.id') END AS subject_id,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key.name') END AS subject_name,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key.digest') END AS subject_digest,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key.detail') END AS subject_detail
FROM audit_log;

CREATE INDEX IF NOT EXISTS keyaudit_key ON audit_log (
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.id') END, id
);
CREATE INDEX IF NOT EXISTS keyaudit_digest ON audit_log (
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.digest') END, id
);
CREATE INDEX IF NOT EXISTS keyaudit_full ON audit_log (
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.digest') END
)
WHERE CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.detail') END = 'full';
CREATE INDEX IF NOT EXISTS keyaudit_ambiguous ON audit_log (
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.ambiguous') END, id
)
WHERE CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.ambiguous') END = 1;
-- The member api_key is reserved only on audit targets with a subject. The condition must select the rows that they write.
CREATE INDEX IF NOT EXISTS keyaudit_subject ON audit_log (
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key.id') END,
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.api_key.digest') END,
    id
)
WHERE resource_type = 'api_key';
ANALYZE audit_log;

-- SQLite finds a partial index only if the condition does not come from another view, so it is repeated here and below.
CREATE VIEW full_rows AS
SELECT
    CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.digest') END AS digest,
    json_extract(additional_fields, '$.request_api_key') AS member
FROM audit_log
WHERE CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.detail') END = 'full';

-- Actions of keys. The snapshot comes from the row itself if it is full, else from a full row with the same digest.
CREATE VIEW key_actions AS
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
CREATE VIEW key_subjects AS
SELECT
    id, at, actor, action, outcome,
    subject_id, subject_name, subject_digest, subject_detail, key_id AS by_key_id, key_name AS by_key_name, trace_id
FROM key_rows
WHERE resource_type = 'api_key' AND subject_id IS NOT NULL;

-- Rows of requests in which several keys were accepted; key_ids lists them.
CREATE VIEW ambiguous_actions AS
SELECT
    id, at, actor, action, resource_type, resource_id, outcome,
    json_extract(additional_fields, '$.request_api_key.ids') AS key_ids,
    json_extract(additional_fields, '$.request_api_key.trace_id') AS trace_id,
    json_extract(additional_fields, '$.request_api_key.span_id') AS span_id
FROM audit_log
WHERE CASE WHEN json_valid(additional_fields) THEN json_extract(additional_fields, '$.request_api_key.ambiguous') END = 1;

-- Rows without a key.
CREATE VIEW keyless_actions AS
SELECT id, at, actor, action, resource_type, resource_id, outcome
FROM key_rows
WHERE key_id IS NULL AND ambiguous IS NULL;

-- Every snapshot once, with the first and the last row that names it. The query jumps from digest to digest in the index.
CREATE VIEW key_snapshots AS
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
CREATE VIEW key_changes AS
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
CREATE VIEW key_differences AS
SELECT
    c.key_id, c.id, c.at, c.previous_digest, c.digest, min(side.change) AS change,
    replace(replace(CASE typeof(t.key) WHEN 'integer' THEN t.path ELSE t.fullkey END, '$.', ''), '"', '') AS field,
    coalesce(t.atom, '[]') AS value
FROM key_changes AS c
JOIN (SELECT 'removed' AS change UNION ALL SELECT 'added') AS side
JOIN json_tree(CASE side.change WHEN 'removed' THEN c.previous_snapshot ELSE c.snapshot END) AS t
WHERE c.previous_snapshot IS NOT NULL AND c.snapshot IS NOT NULL
    AND (t.atom IS NOT NULL OR t.value = '[]')
    AND t.fullkey NOT IN ('$.id', '$.digest', '$.detail', '$.trace_id', '$.span_id', '$."trace_id"', '$."span_id"')
GROUP BY 1, 2, 3, 4, 5, 7, 8
HAVING min(side.change) = max(side.change);
