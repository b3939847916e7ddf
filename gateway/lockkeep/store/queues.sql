-- name: queues_all
SELECT integration, state, failure, at FROM queues ORDER BY integration;

-- name: queue_put
INSERT INTO queues (integration, state, failure, at) VALUES (:integration, :state, :failure, :at)
ON CONFLICT (integration) DO UPDATE SET state = :state, failure = :failure, at = :at;

-- name: queue_filled_by  (whether this agent or user had this integration do anything that may still wait there)
SELECT 1 AS found FROM calls
WHERE integration = :integration AND risk <> 'read' AND (agent = :agent OR user = :user)
  AND state IN ('executing', 'succeeded', 'unknown', 'needs_human')
LIMIT 1;
