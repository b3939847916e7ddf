-- name: find_claim
SELECT tool, digest, state, receipt, images, at, owner FROM receipts WHERE key = :key;

-- name: start_receipt  (one of those that try)
INSERT INTO receipts (key, tool, digest, state, images, at, owner)
VALUES (:key, :tool, :digest, 'started', :images, :at, :owner)
ON CONFLICT (key) DO NOTHING;

-- name: take_receipt  (from an owner that is gone, and only one may)
UPDATE receipts SET state = 'started', images = :images, at = :at, owner = :owner
WHERE key = :key AND state IN ('started', 'unknown') AND owner = :gone AND at = :since;

-- name: commit_receipt  (whoever knows first)
UPDATE receipts SET state = 'committed', receipt = :receipt, images = :images, owner = ''
WHERE key = :key AND state IN ('started', 'unknown');

-- name: doubt_receipt
UPDATE receipts SET state = 'unknown', at = :at, owner = '' WHERE key = :key AND state = 'started' AND owner = :owner;

-- name: free_receipt  (surely not applied: the key may be used again)
DELETE FROM receipts WHERE key = :key AND state = 'started' AND owner = :owner;

-- name: close_receipt  (surely not applied, and never to be)
UPDATE receipts SET state = 'cancelled', images = NULL, owner = ''
WHERE key = :key AND state IN ('started', 'unknown') AND owner = :gone AND at = :since;
