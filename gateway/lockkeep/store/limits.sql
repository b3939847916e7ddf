-- name: shares_taken
SELECT count(*) AS taken, min(at) AS oldest FROM shares WHERE rule = :rule AND key = :key AND at > :since AND call != :call;

-- name: share_take
INSERT INTO shares (rule, key, call, at) VALUES (:rule, :key, :call, :at) ON CONFLICT DO NOTHING;

-- name: shares_return
DELETE FROM shares WHERE call = :call;

-- name: shares_forget
DELETE FROM shares WHERE at < :before;
