-- name: undo_keep
INSERT INTO undo_records (call, restores, residue, until, tool, arguments, images, why)
VALUES (:call, :restores, :residue, :until, :tool, :arguments, :images, :why)
ON CONFLICT (call) DO NOTHING;

-- name: undo_record
SELECT * FROM undo_records WHERE call = :call;

-- name: undo_plan
INSERT INTO undo_plans (id, person, reason, state, skip, at) VALUES (:id, :person, :reason, 'looking', :skip, :at);

-- name: undo_step
INSERT INTO undo_steps (plan, place, call, says, note, state) VALUES (:plan, :place, :call, '', '', 'open');

-- name: undo_plan_get
SELECT * FROM undo_plans WHERE id = :id;

-- name: undo_plans_list
SELECT * FROM undo_plans ORDER BY at DESC LIMIT :count;

-- name: undo_plans_open
SELECT * FROM undo_plans WHERE state IN ('looking', 'running') ORDER BY at;

-- name: undo_steps
SELECT * FROM undo_steps WHERE plan = :plan ORDER BY place;

-- name: undo_step_saw
UPDATE undo_steps SET says = :says, note = :note WHERE plan = :plan AND place = :place AND state = 'open';

-- name: undo_plan_move  (guard: from the state it was in)
UPDATE undo_plans SET state = :state, ended = :ended WHERE id = :id AND state = :was;

-- name: undo_plan_start  (once)
UPDATE undo_plans SET state = 'running', skip = :skip WHERE id = :id AND state IN ('looking', 'shown');

-- name: undo_step_sent
UPDATE undo_steps SET undo = :undo WHERE plan = :plan AND place = :place AND state = 'open';

-- name: undo_step_end  (once)
UPDATE undo_steps SET state = :state, note = :note WHERE plan = :plan AND place = :place AND state = 'open';

-- name: call_undone  (guard: it stands)
UPDATE calls SET state = 'undone' WHERE id = :id AND state = 'succeeded';

-- name: undone_since  (our own takings-back of something later there, in the order in which they were made)
SELECT undo_records.images, payloads.result FROM calls AS original
  JOIN undo_records ON undo_records.call = original.id
  JOIN calls AS undoing ON undoing.undo_of = original.id AND undoing.state = 'succeeded'
  JOIN payloads ON payloads.call = undoing.id
 WHERE original.state = 'undone' AND original.integration = :integration AND original.settled_at >= :after
   AND original.id != :call
 ORDER BY undoing.settled_at, undoing.rowid;

-- name: undo_tries  (that are known not to have happened)
SELECT count(*) AS made FROM calls WHERE undo_of = :undo_of AND state = 'not_applied';

-- name: calls_to_undo  (newest first; a call that took back another is not taken back)
SELECT id FROM calls
 WHERE state = 'succeeded' AND risk != 'read' AND undo_of IS NULL
   AND (:run IS NULL OR run = :run) AND (:since IS NULL OR coalesce(settled_at, at) >= :since)
   AND (:tool IS NULL OR tool = :tool) AND (:agent IS NULL OR agent = :agent) AND (:user IS NULL OR user = :user)
   AND (:rule IS NULL OR EXISTS (SELECT 1 FROM json_each(calls.verdicts) AS said, json_each(said.value, '$.rules') AS rule
                                  WHERE rule.value LIKE :rule || '%'))
 ORDER BY settled_at DESC, rowid DESC;
