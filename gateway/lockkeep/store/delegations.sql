-- name: delegation_add
INSERT INTO delegations (who, stand_in, groups, starts, ends, reason, at)
VALUES (:who, :stand_in, :groups, :starts, :ends, :reason, :at) RETURNING id;

-- name: delegation_get
SELECT * FROM delegations WHERE id = :id;

-- name: delegation_revoke  (once)
UPDATE delegations SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;

-- name: delegations_now
SELECT * FROM delegations WHERE starts <= :now AND ends > :now AND revoked_at IS NULL ORDER BY id;

-- name: delegations_list
SELECT * FROM delegations ORDER BY id DESC LIMIT :count;
