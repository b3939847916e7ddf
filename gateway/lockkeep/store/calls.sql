-- name: call_insert
INSERT INTO calls (id, state, tool, operation, integration, exported, risk, pin, user, agent, host, roles, subject,
                   amount_minor, currency, key, run, step, asked, bound, generation, rules, verdicts, approval, retry_of,
                   undo_of, deny, reason, at, claimed_at, settled_at)
VALUES (:id, :state, :tool, :operation, :integration, :exported, :risk, :pin, :user, :agent, :host, :roles, :subject,
        :amount_minor, :currency, :key, :run, :step, :asked, :bound, :generation, :rules, :verdicts, :approval, :retry_of,
        :undo_of, :deny, :reason, :at, :claimed_at, :settled_at);

-- name: call_payload
INSERT INTO payloads (call, salt, arguments, sent, facts, kept) VALUES (:call, :salt, :arguments, :sent, :facts, :kept)
ON CONFLICT (call) DO UPDATE
   SET arguments = excluded.arguments, sent = excluded.sent, facts = excluded.facts, kept = excluded.kept;

-- name: call_facts
UPDATE payloads SET facts = :facts WHERE call = :call;

-- name: call_result
UPDATE payloads SET result = :result WHERE call = :call;

-- name: call_get
SELECT * FROM calls WHERE id = :id;

-- name: call_like
SELECT id FROM calls WHERE id >= :prefix AND id < :prefix || '~' LIMIT 2;

-- name: payload_get
SELECT * FROM payloads WHERE call = :call;

-- name: call_by_key  (what stands comes before what was refused later; a refused reuse of the key is no use of it)
SELECT * FROM calls WHERE user = :user AND agent = :agent AND key = :key
   AND (deny IS NULL OR json_extract(deny, '$.code') != 'idempotency_conflict')
 ORDER BY state IN ('denied', 'expired', 'cancelled', 'failed', 'not_applied'), rowid DESC LIMIT 1;

-- name: call_by_undo_of  (the newest try that still stands, whoever made it)
SELECT * FROM calls WHERE undo_of = :undo_of
 ORDER BY state IN ('denied', 'expired', 'cancelled', 'failed', 'not_applied'), rowid DESC LIMIT 1;

-- name: call_by_step
SELECT * FROM calls WHERE run = :run AND step = :step AND user = :user AND agent = :agent
 ORDER BY state IN ('denied', 'expired', 'cancelled', 'failed', 'not_applied'), rowid DESC LIMIT 1;

-- name: call_by_asked
SELECT * FROM calls WHERE user = :user AND agent = :agent AND asked = :asked
   AND (coalesce(settled_at, at) > :since OR state IN ('pending_approval', 'executing', 'unknown', 'needs_human') OR run IS NOT NULL)
 ORDER BY state IN ('denied', 'expired', 'cancelled', 'failed', 'not_applied'), rowid DESC LIMIT 1;

-- name: call_denied_by_people
SELECT id, deny FROM calls WHERE user = :user AND agent = :agent AND asked = :asked AND state = 'denied'
   AND settled_at > :since AND json_extract(deny, '$.code') = 'approval.denied' LIMIT 1;

-- name: call_doubtful
SELECT id FROM calls WHERE tool = :tool AND subject = :subject AND state IN ('unknown', 'needs_human') AND id != :id LIMIT 1;

-- name: call_claim_parked  (guard: only from pending_approval, once)
UPDATE calls SET state = 'executing', claimed_at = :at, bound = :bound, generation = :generation, rules = :rules,
                 verdicts = :verdicts, pin = :pin, roles = :roles, operation = :operation, risk = :risk, subject = :subject,
                 amount_minor = :amount_minor, currency = :currency
 WHERE id = :id AND state = 'pending_approval';

-- name: call_park_again  (guard: still parked)
UPDATE calls SET approval = :approval, bound = :bound, generation = :generation, rules = :rules, verdicts = :verdicts,
                 pin = :pin, roles = :roles, operation = :operation, risk = :risk, subject = :subject,
                 amount_minor = :amount_minor, currency = :currency
 WHERE id = :id AND state = 'pending_approval';

-- name: call_end_parked  (guard: still parked)
UPDATE calls SET state = :state, deny = :deny, reason = :reason, verdicts = coalesce(:verdicts, verdicts), settled_at = :at
 WHERE id = :id AND state = 'pending_approval';

-- name: call_settle  (whoever claimed it, or nobody)
UPDATE calls SET state = :state, reason = :reason, withheld = :withheld, settled_at = :at
 WHERE id = :id AND state = 'executing';

-- name: call_open_end  (claimed, and nobody knows what happened)
UPDATE calls SET state = 'unknown', reason = :reason, next_try = :at WHERE id = :id AND state = 'executing';

-- name: call_reconcile  (guard: still in doubt)
UPDATE calls SET state = :state, reason = :reason, settled_at = :at WHERE id = :id AND state = 'unknown';

-- name: call_try_later
UPDATE calls SET tries = tries + 1, next_try = :next_try, reason = :reason WHERE id = :id AND state = 'unknown';

-- name: call_resolve  (a person, with evidence)
UPDATE calls SET state = :state, reason = :reason, settled_at = :at WHERE id = :id AND state IN ('unknown', 'needs_human');

-- name: calls_in_state
SELECT * FROM calls WHERE state = :state ORDER BY at;

-- name: calls_due
SELECT * FROM calls WHERE state = 'unknown' AND (next_try IS NULL OR next_try <= :now) ORDER BY at LIMIT 20;

-- name: calls_list
SELECT * FROM calls
 WHERE (:state IS NULL OR state = :state) AND (:tool IS NULL OR tool = :tool) AND (:agent IS NULL OR agent = :agent)
   AND (:user IS NULL OR user = :user)
 ORDER BY at DESC, rowid DESC LIMIT :count;

-- name: calls_past  (with what the decision rested on, in the order they were stored)
SELECT calls.*, calls.rowid AS number, payloads.arguments, payloads.sent, payloads.facts, approvals.state AS approval_state,
       approvals.demands, (SELECT min(at) FROM approvals AS first WHERE first.call = calls.id) AS parked_at
  FROM calls LEFT JOIN payloads ON payloads.call = calls.id LEFT JOIN approvals ON approvals.id = calls.approval
 WHERE calls.rowid > :after AND calls.at >= :since ORDER BY calls.rowid LIMIT :count;

-- name: call_past
SELECT calls.*, calls.rowid AS number, payloads.arguments, payloads.sent, payloads.facts, approvals.state AS approval_state,
       approvals.demands, (SELECT min(at) FROM approvals AS first WHERE first.call = calls.id) AS parked_at
  FROM calls LEFT JOIN payloads ON payloads.call = calls.id LEFT JOIN approvals ON approvals.id = calls.approval
 WHERE calls.id = :id;

-- name: calls_past_count
SELECT count(*) AS n FROM calls WHERE at >= :since;

-- name: calls_open_of
SELECT * FROM calls WHERE user = :user AND agent = :agent
   AND state IN ('pending_approval', 'executing', 'unknown', 'needs_human') ORDER BY at DESC LIMIT :count;

-- name: calls_open_of_count
SELECT count(*) AS n FROM calls WHERE user = :user AND agent = :agent
   AND state IN ('pending_approval', 'executing', 'unknown', 'needs_human');

-- name: calls_by_state
SELECT state, count(*) AS n FROM calls GROUP BY state ORDER BY state;
