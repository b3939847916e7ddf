-- name: get_ticket
SELECT * FROM tickets WHERE id = :id;

-- name: search_tickets  (in order of arrival, so that rows which arrive meanwhile come last)
SELECT t.*,
       CASE WHEN t.status IN ('solved', 'closed') THEN NULL
            WHEN t.first_replied_at IS NULL THEN min(t.first_reply_due, t.solve_due)
            ELSE t.solve_due END AS next_due
FROM tickets t
WHERE t.withdrawn_at IS NULL
  AND (:status IS NULL OR t.status IN (SELECT value FROM json_each(:status)))
  AND (:priority IS NULL OR t.priority IN (SELECT value FROM json_each(:priority)))
  AND (:assignee IS NULL OR t.assignee_id = :assignee)
  AND (:requester IS NULL OR t.requester_id = :requester OR fold(coalesce(t.requester_email, '')) = :requester)
  AND (:query IS NULL OR instr(fold(t.subject), :query) > 0
       OR EXISTS (SELECT 1 FROM messages m WHERE m.ticket_id = t.id AND m.withdrawn_at IS NULL
                  AND instr(fold(m.body), :query) > 0))
  AND (:breaching_before IS NULL OR next_due < :breaching_before)
  AND t.number > :after
ORDER BY t.number
LIMIT :limit;

-- name: find_by_external_id
SELECT t.*, m.body FROM tickets t JOIN messages m ON m.ticket_id = t.id AND m.kind = 'request'
WHERE t.external_id = :external_id AND t.withdrawn_at IS NULL
ORDER BY m.number LIMIT 1;

-- name: messages_of  (oldest first; a note that was withdrawn keeps its place and shows no body)
SELECT number, id, kind, by, at, withdrawn_at, substr(body, 1, :cut) AS body, length(body) > :cut AS longer
FROM messages WHERE ticket_id = :id AND number > :after ORDER BY number LIMIT :limit;

-- name: get_note
SELECT * FROM messages WHERE id = :note_id AND ticket_id = :id AND kind = 'note';

-- name: said_since_created
SELECT count(*) - 1 AS count FROM messages WHERE ticket_id = :id AND withdrawn_at IS NULL;

-- name: last_changes
SELECT at, by, field, old, new, reason FROM changes WHERE ticket_id = :id ORDER BY number DESC LIMIT 20;

-- name: changed_since
SELECT DISTINCT field FROM changes WHERE ticket_id = :id AND version > :version ORDER BY field;

-- name: first_values  (what each field was before anything changed it)
SELECT field, old, min(number) AS number FROM changes
WHERE ticket_id = :id AND version > 1 GROUP BY field ORDER BY field;

-- name: change_at
SELECT at FROM changes WHERE ticket_id = :id AND version = :version ORDER BY number LIMIT 1;

-- name: get_person
SELECT id, name, email FROM people WHERE id = :id;

-- name: get_agent
SELECT id, active FROM agents WHERE id = :id;

-- name: active_agents
SELECT id FROM agents WHERE active = 1 ORDER BY length(id), id LIMIT 50;

-- name: get_group
SELECT id FROM groups WHERE id = :id;

-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = :kind RETURNING last;

-- name: add_ticket
INSERT INTO tickets (id, version, external_id, requester_id, requester_name, requester_email, subject, status, priority,
    type, group_id, assignee_id, tags, order_id, shipment_id, resolution, first_replied_at, first_reply_due, solve_due,
    made_by, withdrawn_at, created_at, updated_at)
VALUES (:id, :version, :external_id, :requester_id, :requester_name, :requester_email, :subject, :status, :priority,
    :type, :group_id, :assignee_id, :tags, :order_id, :shipment_id, :resolution, :first_replied_at, :first_reply_due, :solve_due, :made_by, :withdrawn_at, :created_at, :updated_at);

-- name: write_ticket  (whoever read this version, or nobody)
UPDATE tickets SET version = version + 1, status = :status, priority = :priority, type = :type, group_id = :group_id,
    assignee_id = :assignee_id, tags = :tags, resolution = :resolution, first_replied_at = :first_replied_at,
    first_reply_due = :first_reply_due, solve_due = :solve_due, withdrawn_at = :withdrawn_at, updated_at = :updated_at
WHERE id = :id AND version = :version AND status <> 'closed' AND withdrawn_at IS NULL;

-- name: add_message
INSERT INTO messages (id, ticket_id, kind, by, body, at, withdrawn_at)
VALUES (:id, :ticket_id, :kind, :by, :body, :at, NULL);

-- name: withdraw_note  (once)
UPDATE messages SET withdrawn_at = :at WHERE id = :id AND kind = 'note' AND withdrawn_at IS NULL;

-- name: add_change
INSERT INTO changes (ticket_id, version, at, by, field, old, new, reason)
VALUES (:ticket_id, :version, :at, :by, :field, :old, :new, :reason);

-- name: count_people
SELECT count(*) AS count FROM people;

-- name: add_person
INSERT INTO people (id, name, email) VALUES (:id, :name, :email);

-- name: add_group
INSERT INTO groups (id) VALUES (:id);

-- name: add_agent
INSERT INTO agents (id, name, group_id, active) VALUES (:id, :name, :group_id, :active);

-- name: add_article
INSERT INTO articles (id, title, body, url, updated_at) VALUES (:id, :title, :body, :url, :updated_at);

-- name: has_fts5
SELECT 1 FROM pragma_module_list WHERE name = 'fts5';

-- name: has_index
SELECT 1 FROM sqlite_schema WHERE name = 'articles_index';

-- name: make_index
CREATE VIRTUAL TABLE articles_index USING fts5(
    title, body, content = 'articles', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2');

-- name: is_indexed  (as many articles in the index as there are)
SELECT (SELECT count(*) FROM articles_index_docsize) = (SELECT count(*) FROM articles) AS whole;

-- name: fill_index
INSERT INTO articles_index (articles_index) VALUES ('rebuild');

-- name: match_articles  (a word in the title weighs four times one in the body)
SELECT a.* FROM articles_index JOIN articles a ON a.number = articles_index.rowid
WHERE articles_index MATCH :words
ORDER BY bm25(articles_index, 4.0, 1.0), a.number
LIMIT :limit;

-- name: scan_articles  (without FTS5: how many of the words stand in title and body, by letters)
SELECT a.*, sum(4 * (instr(fold(a.title), w.value) > 0) + (instr(fold(a.body), w.value) > 0)) AS score
FROM articles a, json_each(:words) w
GROUP BY a.number HAVING score > 0
ORDER BY score DESC, a.number
LIMIT :limit;
