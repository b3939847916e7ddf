-- name: generation_newest
SELECT id, digest FROM generations ORDER BY id DESC LIMIT 1;

-- name: generation_get
SELECT * FROM generations WHERE id = :id;

-- name: generation_current
SELECT * FROM generations ORDER BY id DESC LIMIT 1;

-- name: generation_insert  (guard: only right after the one it was checked against)
INSERT INTO generations (id, digest, content, by, reason, at, observe_until)
SELECT :id, :digest, :content, :by, :reason, :at, :observe_until
 WHERE NOT EXISTS (SELECT 1 FROM generations WHERE id >= :id);

-- name: generations_list
SELECT id, digest, by, reason, at, observe_until FROM generations ORDER BY id DESC LIMIT :count;

-- name: proposal_insert
INSERT INTO proposals (id, after, content, digest, observe_until, by, reason, at, state)
VALUES (:id, :after, :content, :digest, :observe_until, :by, :reason, :at, 'open');

-- name: proposal_like
SELECT * FROM proposals WHERE substr(id, 1, length(:prefix)) = :prefix LIMIT 2;

-- name: proposal_agree  (guard: open)
UPDATE proposals SET state = 'agreed' WHERE id = :id AND state = 'open';

-- name: generation_at  (what was in force right before that time)
SELECT id FROM generations WHERE at < :at ORDER BY id DESC LIMIT 1;

-- name: generations_between
SELECT id FROM generations WHERE at >= :begin AND at < :end ORDER BY id;
