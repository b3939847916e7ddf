-- name: head_newest
SELECT * FROM heads WHERE installation = :installation ORDER BY size DESC, id DESC LIMIT 1;

-- name: head_insert
INSERT INTO heads (size, hash, at, installation, signature) VALUES (:size, :hash, :at, :installation, :signature)
RETURNING id;

-- name: head_before  (the newest one that covers no record of that time or later)
SELECT * FROM heads WHERE size <= :size ORDER BY size DESC, id DESC LIMIT 1;

-- name: heads_list
SELECT * FROM heads ORDER BY id;

-- name: head_urgent  (records that do not wait for the next minute)
SELECT 1 AS found FROM audit WHERE seq > :size AND type IN ('switch.thrown', 'ledger.restored', 'gateway.stopped') LIMIT 1;

-- name: sinks_all
SELECT sinks.name, sinks.head, sinks.at, sinks.failure, sinks.since, heads.size
  FROM sinks LEFT JOIN heads ON heads.id = sinks.head ORDER BY sinks.name;

-- name: sink_took
INSERT INTO sinks (name, head, at) VALUES (:name, :head, :at)
ON CONFLICT (name) DO UPDATE SET head = :head, at = :at, failure = NULL, since = NULL;

-- name: sink_failed
INSERT INTO sinks (name, head, failure, since) VALUES (:name, 0, :failure, :at)
ON CONFLICT (name) DO UPDATE SET failure = :failure, since = coalesce(since, :at);

-- name: restore_end_sessions  (a browser that was signed in then is not signed in now)
DELETE FROM sessions;

-- name: restore_end_links
DELETE FROM sign_ins;

-- name: restore_stop_undoing
UPDATE undo_plans SET state = 'stopped', ended = :at WHERE ended IS NULL AND state IN ('looking', 'running');

-- name: restore_forget_listening
DELETE FROM listening;

-- name: restore_approvals
SELECT * FROM approvals WHERE state IN ('pending', 'approved') ORDER BY at;
