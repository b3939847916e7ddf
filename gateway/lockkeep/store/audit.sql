-- name: audit_head
SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1;

-- name: audit_append
INSERT INTO audit (seq, hash, record, call, type) VALUES (:seq, :hash, :record, :call, :type);

-- name: audit_from
SELECT seq, hash, record FROM audit WHERE seq >= :seq ORDER BY seq LIMIT :count;

-- name: audit_tail
SELECT seq, hash, record FROM audit ORDER BY seq DESC LIMIT :count;

-- name: audit_newest_of
SELECT seq, hash, record FROM audit WHERE type = :type ORDER BY seq DESC LIMIT 1;

-- name: audit_of_call
SELECT seq, hash, record FROM audit WHERE call = :call ORDER BY seq;

-- name: audit_span
SELECT min(seq) AS first, max(seq) AS last FROM audit
 WHERE CASE WHEN json_valid(record) THEN json_extract(record, '$.at') >= :since AND json_extract(record, '$.at') < :until
            ELSE FALSE END;
