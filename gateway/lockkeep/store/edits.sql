-- name: edit_add
INSERT INTO edits (successor, call, editor, arguments, said, at, state)
VALUES (:successor, :call, :editor, :arguments, :said, :at, 'open');

-- name: edits_open
SELECT * FROM edits WHERE state = 'open' ORDER BY at;

-- name: edit_of
SELECT * FROM edits WHERE successor = :successor;

-- name: editors_of  (whoever changed this call, or one that it takes the place of)
WITH RECURSIVE chain (call, editor) AS (
    SELECT call, editor FROM edits WHERE successor = :call
    UNION SELECT edits.call, edits.editor FROM edits JOIN chain ON edits.successor = chain.call
)
SELECT DISTINCT editor FROM chain;

-- name: edit_done  (once)
UPDATE edits SET state = 'done', arguments = '{}' WHERE successor = :successor AND state = 'open';

-- name: call_succeeded_by
UPDATE calls SET successor = :successor WHERE id = :id;
