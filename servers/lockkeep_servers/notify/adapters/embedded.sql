-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = 'message' RETURNING last;

-- name: get_message
SELECT * FROM messages WHERE id = :id;

-- name: messages_of_ref
SELECT * FROM messages WHERE ref = :ref ORDER BY created_at DESC, length(id) DESC, id DESC LIMIT :limit;

-- name: queued_of_ref
SELECT * FROM messages WHERE ref = :ref AND status = 'queued' ORDER BY length(id), id;

-- name: add_message
INSERT INTO messages (id, kind, version, recipient, ref, subject, body, template_id, reference, status, due_at, not_before,
    attempts, claimed_by, lease_until, place, why, created_at, updated_at)
VALUES (:id, :kind, 1, :recipient, :ref, :subject, :body, :template_id, :reference, :status, :due_at, :not_before,
    0, :claimed_by, :lease_until, :place, NULL, :created_at, :created_at);

-- name: cancel_queued  (the sender may have been faster)
UPDATE messages SET status = 'cancelled', version = version + 1, updated_at = :now WHERE id = :id AND status = 'queued';

-- name: cancel_posted
UPDATE messages SET status = 'cancelled', version = version + 1, updated_at = :now
WHERE id = :id AND kind = 'chat' AND status IN ('sent', 'unknown');

-- name: drop_message  (a post the service refused never was)
DELETE FROM messages WHERE id = :id AND kind = 'chat' AND status IN ('sending', 'unknown');

-- name: something_waits  (a message that is due and may go, one that is too late, one whose sender died)
SELECT EXISTS (SELECT 1 FROM messages WHERE status = 'queued' AND not_before <= :now AND (SELECT paused FROM queue) = 0)
    OR EXISTS (SELECT 1 FROM messages WHERE status = 'queued' AND due_at <= :too_late)
    OR EXISTS (SELECT 1 FROM messages WHERE status = 'sending' AND kind = 'mail' AND lease_until <= :now) AS yes;

-- name: expire
UPDATE messages SET status = 'expired', why = 'too_late', version = version + 1, updated_at = :now
WHERE status = 'queued' AND due_at <= :too_late;

-- name: next_due
SELECT messages.*, suppressed.address IS NOT NULL AS suppressed, recipients.tz, recipients.quiet_from, recipients.quiet_to
FROM messages
LEFT JOIN suppressed ON suppressed.address = fold(trim(messages.recipient))
LEFT JOIN recipients ON recipients.address = fold(trim(messages.recipient))
WHERE status = 'queued' AND not_before <= :now AND (SELECT paused FROM queue) = 0
ORDER BY not_before, length(id), id LIMIT 1;

-- name: claim
UPDATE messages SET status = 'sending', claimed_by = :who, lease_until = :until, attempts = attempts + 1,
    version = version + 1, updated_at = :now
WHERE id = :id AND status = 'queued' AND (SELECT paused FROM queue) = 0;

-- name: may_go  (right before the first byte: still ours, not lapsed, not paused)
SELECT EXISTS (SELECT 1 FROM messages WHERE id = :id AND status = 'sending' AND claimed_by = :who AND lease_until > :now)
    AND (SELECT paused FROM queue) = 0 AS yes;

-- name: settle  (whoever claimed it; an answer that came after the lease still counts)
UPDATE messages SET status = :status, why = :why, claimed_by = NULL, lease_until = NULL, version = version + 1, updated_at = :now
WHERE id = :id AND claimed_by = :who AND status IN ('sending', 'unknown');

-- name: put_back  (it surely did not go)
UPDATE messages SET status = 'queued', why = :why, not_before = :not_before, attempts = attempts - :uncounted,
    claimed_by = NULL, lease_until = NULL, version = version + 1, updated_at = :now
WHERE id = :id AND claimed_by = :who AND status IN ('sending', 'unknown');

-- name: presume_unknown  (its sender died; the claim stays: should it live after all, its answer counts)
UPDATE messages SET status = 'unknown', why = 'sender_died', version = version + 1, updated_at = :now
WHERE id = :id AND claimed_by = :who AND status = 'sending' AND lease_until <= :now;

-- name: give_up  (while it waits)
UPDATE messages SET status = 'failed', why = :why, version = version + 1, updated_at = :now
WHERE id = :id AND status = 'queued';

-- name: postpone
UPDATE messages SET not_before = :not_before, updated_at = :now WHERE id = :id AND status = 'queued';

-- name: lapsed
SELECT * FROM messages WHERE kind = 'mail' AND status = 'sending' AND lease_until <= :now ORDER BY lease_until LIMIT 20;

-- name: settle_post
UPDATE messages SET status = 'sent', place = :place, why = NULL, updated_at = :now
WHERE id = :id AND kind = 'chat' AND status IN ('sending', 'unknown');

-- name: doubt_post
UPDATE messages SET status = 'unknown', why = 'no_answer', updated_at = :now
WHERE id = :id AND kind = 'chat' AND status = 'sending';

-- name: settle_receipt
UPDATE receipts SET state = 'committed', receipt = :receipt, images = NULL WHERE key = :key AND state IN ('started', 'unknown');

-- name: doubt_receipt
UPDATE receipts SET state = 'unknown', at = :at WHERE key = :key AND state = 'started';

-- name: drop_receipt  (nothing was applied: the key may be used again)
DELETE FROM receipts WHERE key = :key AND state IN ('started', 'unknown');

-- name: lapsed_receipts
SELECT key FROM receipts WHERE state = 'started' AND at <= :lapsed ORDER BY at LIMIT 20;

-- name: get_queue
SELECT * FROM queue;

-- name: put_queue
UPDATE queue SET paused = :paused, reason = :reason, version = version + 1, updated_at = :now;

-- name: count_status
SELECT status, count(*) AS count FROM messages GROUP BY status;

-- name: find_outbox
SELECT 1 AS yes FROM outbox WHERE reference = :reference;

-- name: add_outbox  (a letter arrives once)
INSERT INTO outbox (reference, recipient, subject, body, at) VALUES (:reference, :recipient, :subject, :body, :at)
ON CONFLICT (reference) DO NOTHING;

-- name: begin_receipt  (the effect happens outside: `images` holds what is to be said once it has)
INSERT INTO receipts (key, tool, digest, state, receipt, images, at)
VALUES (:key, :tool, :digest, 'started', NULL, :images, :at)
ON CONFLICT (key) DO NOTHING;

-- name: add_post
INSERT INTO posts (reference, channel, text, at) VALUES (:reference, :channel, :text, :at);

-- name: drop_post
DELETE FROM posts WHERE reference = :reference;

-- name: get_template
SELECT * FROM templates WHERE id = :id ORDER BY locale;

-- name: get_recipient
SELECT * FROM recipients WHERE address = :address;

-- name: get_suppressed
SELECT * FROM suppressed WHERE address = :address;

-- name: count_templates
SELECT count(*) AS count FROM templates;

-- name: put_template
INSERT INTO templates (id, locale, subject, body, variables) VALUES (:id, :locale, :subject, :body, :variables)
ON CONFLICT (id, locale) DO UPDATE SET subject = :subject, body = :body, variables = :variables;

-- name: put_recipient
INSERT INTO recipients (address, locale, tz, quiet_from, quiet_to) VALUES (:address, :locale, :tz, :quiet_from, :quiet_to)
ON CONFLICT (address) DO UPDATE SET locale = :locale, tz = :tz, quiet_from = :quiet_from, quiet_to = :quiet_to;

-- name: put_suppressed
INSERT INTO suppressed (address, reason, since) VALUES (:address, :reason, :since) ON CONFLICT (address) DO NOTHING;

-- name: drop_templates
DELETE FROM templates;

-- name: drop_recipients
DELETE FROM recipients;

-- name: drop_suppressed
DELETE FROM suppressed;

-- name: add_past  (a message of the seeded world)
INSERT INTO messages (id, kind, version, recipient, ref, subject, body, template_id, reference, status, due_at, not_before,
    attempts, claimed_by, lease_until, place, why, created_at, updated_at)
VALUES (:id, 'mail', 1, :recipient, :ref, :subject, :body, :template_id, :reference, :status, :due_at, :due_at,
    :attempts, NULL, NULL, NULL, NULL, :created_at, :updated_at);
