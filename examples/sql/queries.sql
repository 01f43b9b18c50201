-- The questions, for SQLite and PostgreSQL. Run sqlite.sql or postgresql.sql first.

-- What was done with a key, the latest first?
SELECT id, at, action, resource_type, resource_id, detail, digest, trace_id
FROM key_actions
WHERE key_id = :key
ORDER BY id DESC
LIMIT 50;

-- What was the key of a row allowed to do at that moment, when the row itself does not say?
SELECT id, action, key_name, detail, snapshot
FROM key_actions
WHERE id = :row;

-- Who created or changed a key?
SELECT id, at, action, subject_name, subject_digest, by_key_id, by_key_name
FROM key_subjects
WHERE subject_id = :key
ORDER BY id;

-- Which keys changed?
SELECT key_id, id, at, previous_digest, digest
FROM key_changes
ORDER BY id;

-- What changed in a key?
SELECT id, change, field, value
FROM key_differences
WHERE key_id = :key
ORDER BY id, field, change DESC, value;

-- What was done without a key, the latest first?
SELECT id, at, actor, action, resource_type, resource_id
FROM keyless_actions
ORDER BY id DESC
LIMIT 50;

-- Where is it not certain which key it was?
SELECT id, at, action, resource_type, resource_id, key_ids, trace_id
FROM ambiguous_actions
ORDER BY id DESC
LIMIT 50;
