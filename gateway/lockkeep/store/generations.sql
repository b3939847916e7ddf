-- name: generation_newest
SELECT id, digest FROM generations ORDER BY id DESC LIMIT 1;

-- name: generation_get
SELECT * FROM generations WHERE id = :id;

-- name: generation_current
SELECT * FROM generations ORDER BY id DESC LIMIT 1;

-- name: generation_insert  (guard: only right after the one it was checked against)
INSERT INTO generations (id, digest, content, by, reason, at)
SELECT :id, :digest, :content, :by, :reason, :at
 WHERE NOT EXISTS (SELECT 1 FROM generations WHERE id >= :id);

-- name: generations_list
SELECT id, digest, by, reason, at FROM generations ORDER BY id DESC LIMIT :count;
