-- name: shares_taken
SELECT coalesce(sum(units), 0) AS taken, min(at) AS oldest FROM shares
 WHERE rule = :rule AND key = :key AND call != :call
   AND (at > :since OR EXISTS (SELECT 1 FROM calls WHERE id = shares.call AND state = 'pending_approval'));

-- name: shares_then  (what others held at that time, as far as it was not given back since)
SELECT coalesce(sum(units), 0) AS taken FROM shares
 WHERE rule = :rule AND key = :key AND call != :call AND at > :since AND at <= :until;

-- name: share_take
INSERT INTO shares (rule, key, call, at, units) VALUES (:rule, :key, :call, :at, :units)
 ON CONFLICT DO UPDATE SET at = excluded.at, units = excluded.units;  -- a parked call counts from when it runs

-- name: shares_return
DELETE FROM shares WHERE call = :call;
