-- name: switches_thrown
SELECT id, scope, mode, reason, by, at, undo_allowed_by FROM switches WHERE lifted_at IS NULL ORDER BY id;

-- name: switch_throw
INSERT INTO switches (scope, mode, reason, by, at) VALUES (:scope, :mode, :reason, :by, :at) RETURNING id;

-- name: switch_lift  (once)
UPDATE switches SET lifted_by = :by, lifted_at = :at, lift_note = :note WHERE id = :id AND lifted_at IS NULL;

-- name: switch_undo_allowed
UPDATE switches SET undo_allowed_by = :by WHERE id = :id AND lifted_at IS NULL;

-- name: switch_newest
SELECT coalesce(max(id), 0) AS id FROM switches;

-- name: seen_set
UPDATE seen SET switch = :switch WHERE gateway = 1 AND switch < :switch;

-- name: seen
SELECT switch FROM seen WHERE gateway = 1;
