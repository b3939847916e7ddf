-- name: token_insert
INSERT INTO tokens (id, hash, user, agent, by, at) VALUES (:id, :hash, :user, :agent, :by, :at);

-- name: token_get
SELECT * FROM tokens WHERE hash = :hash AND revoked_at IS NULL;

-- name: tokens_list
SELECT id, user, agent, by, at, revoked_at FROM tokens ORDER BY at;

-- name: token_revoke
UPDATE tokens SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;

-- name: sign_in_insert
INSERT INTO sign_ins (hash, person, expires_at) VALUES (:hash, :person, :expires_at);

-- name: sign_in_use  (once, in time)
UPDATE sign_ins SET used_at = :now WHERE hash = :hash AND used_at IS NULL AND expires_at > :now RETURNING person;

-- name: session_insert
INSERT INTO sessions (hash, person, csrf, at, expires_at) VALUES (:hash, :person, :csrf, :at, :expires_at);

-- name: session_get
SELECT * FROM sessions WHERE hash = :hash AND expires_at > :now;

-- name: session_end
DELETE FROM sessions WHERE hash = :hash;
