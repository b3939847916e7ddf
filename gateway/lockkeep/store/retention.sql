-- name: audit_first
SELECT seq FROM audit ORDER BY seq LIMIT 1;

-- name: audit_at
SELECT seq, hash FROM audit WHERE seq = :seq;

-- name: audit_first_since
SELECT min(seq) AS seq FROM audit
 WHERE CASE WHEN json_valid(record) THEN json_extract(record, '$.at') >= :since ELSE TRUE END;

-- name: audit_prune
DELETE FROM audit WHERE seq <= :upto;

-- name: payloads_old  (of calls that have ended; nothing that may still run or be asked about)
SELECT call FROM payloads JOIN calls ON calls.id = payloads.call
 WHERE calls.state NOT IN ('pending_approval', 'executing', 'unknown', 'needs_human') AND coalesce(calls.settled_at, calls.at) < :before
 ORDER BY calls.rowid LIMIT :count;

-- name: payload_delete
DELETE FROM payloads WHERE call = :call;

-- name: payload_of_undo_delete  (what was there before and after; without it, nothing can be taken back)
UPDATE undo_records SET images = '{}', arguments = NULL, tool = NULL, why = 'Its payload was deleted.' WHERE call = :call;
