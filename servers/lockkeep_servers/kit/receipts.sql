-- name: find_receipt
SELECT tool, digest, state, receipt, images, at FROM receipts WHERE key = :key;

-- name: add_receipt
INSERT INTO receipts (key, tool, digest, state, receipt, images, at)
VALUES (:key, :tool, :digest, :state, :receipt, :images, :at);

-- name: fence_receipt  (only a key nobody has used)
INSERT INTO receipts (key, tool, digest, state, receipt, images, at)
VALUES (:key, '', '', 'cancelled', NULL, NULL, :at)
ON CONFLICT (key) DO NOTHING;

-- name: forget_images  (30 days)
UPDATE receipts
SET images = NULL,
    receipt = json_set(receipt, '$.before', json('{}'), '$.after', json('{}'), '$.undo', json('{"possible":"no"}'))
WHERE receipt IS NOT NULL AND at < :before AND json_extract(receipt, '$.undo.possible') <> 'no';

-- name: forget_keys  (400 days)
DELETE FROM receipts WHERE at < :before;
