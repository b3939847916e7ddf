-- name: approval_insert
INSERT INTO approvals (id, call, state, bound, requester, agent, tool, editor, demands, reason, at, expires_at)
VALUES (:id, :call, 'pending', :bound, :requester, :agent, :tool, :editor, :demands, :reason, :at, :expires_at);

-- name: approval_get
SELECT * FROM approvals WHERE id = :id;

-- name: approval_like
SELECT id FROM approvals WHERE id >= :prefix AND id < :prefix || '~' LIMIT 2;

-- name: approvals_list
SELECT * FROM approvals WHERE (:state IS NULL OR state = :state) ORDER BY at DESC, rowid DESC LIMIT :count;

-- name: approvals_open_of
SELECT * FROM approvals WHERE requester = :user AND agent = :agent AND state IN ('pending', 'approved')
 ORDER BY at DESC LIMIT :count;

-- name: approvals_open_count
SELECT count(*) AS n FROM approvals WHERE agent = :agent AND state = 'pending';

-- name: approvals_recent_count
SELECT count(*) AS n FROM approvals WHERE agent = :agent AND at > :since;

-- name: approvals_agreed
SELECT * FROM approvals WHERE state = 'approved' ORDER BY decided_at;

-- name: approvals_overdue
SELECT * FROM approvals WHERE (state = 'pending' AND expires_at <= :now) OR (state = 'approved' AND use_by <= :now) LIMIT 50;

-- name: approvals_escalating
SELECT * FROM approvals WHERE state = 'pending' AND demands LIKE '%"steps": [[%' LIMIT 500;

-- name: approval_escalate  (guard: pending)
UPDATE approvals SET demands = :demands WHERE id = :id AND state = 'pending';

-- name: approval_agree  (guard: pending)
UPDATE approvals SET state = 'approved', decided_at = :at, use_by = :use_by WHERE id = :id AND state = 'pending';

-- name: approval_end  (guard: open)
UPDATE approvals SET state = :state, decided_at = :at, note = :note WHERE id = :id AND state IN ('pending', 'approved');

-- name: approval_consume  (guard: agreed to exactly this, and in time)
UPDATE approvals SET state = 'consumed' WHERE id = :id AND call = :call AND state = 'approved' AND bound = :bound AND use_by > :now;

-- name: vote_cast
INSERT INTO votes (approval, person, decision, bound, reason, channel, at)
VALUES (:approval, :person, :decision, :bound, :reason, :channel, :at)
ON CONFLICT (approval, person) DO UPDATE  -- only a no replaces an earlier word
   SET decision = excluded.decision, reason = excluded.reason, channel = excluded.channel, at = excluded.at;

-- name: votes_of
SELECT * FROM votes WHERE approval = :approval ORDER BY at;
