-- name: notice_insert
INSERT INTO notices (id, event, about, at) VALUES (:id, :event, :about, :at);

-- name: notices_new
SELECT * FROM notices WHERE shared = 0 ORDER BY seq LIMIT 100;

-- name: notice_shared  (once)
UPDATE notices SET shared = 1 WHERE seq = :seq AND shared = 0;

-- name: notices_forget_deliveries
DELETE FROM deliveries WHERE state <> 'due' AND notice IN (SELECT seq FROM notices WHERE at < :before);

-- name: notices_forget
DELETE FROM notices WHERE at < :before AND shared = 1 AND seq NOT IN (SELECT notice FROM deliveries);

-- name: delivery_insert
INSERT INTO deliveries (notice, channel, about, state, next_try) VALUES (:notice, :channel, :about, 'due', :at);

-- name: deliveries_due  (of one matter only the oldest: what was asked is told before what was decided)
SELECT d.*, n.id, n.event, n.at FROM deliveries AS d JOIN notices AS n ON n.seq = d.notice
 WHERE d.channel = :channel AND d.state = 'due' AND d.next_try <= :now
   AND NOT EXISTS (SELECT 1 FROM deliveries AS e
                    WHERE e.channel = d.channel AND e.about = d.about AND e.state = 'due' AND e.notice < d.notice)
 ORDER BY d.notice LIMIT 20;

-- name: deliveries_late
SELECT d.*, n.id, n.event, n.at FROM deliveries AS d JOIN notices AS n ON n.seq = d.notice
 WHERE d.state = 'due' AND d.tries > 0 AND n.at < :before ORDER BY d.notice LIMIT 50;

-- name: deliveries_without_channel
SELECT d.*, n.id, n.event, n.at FROM deliveries AS d JOIN notices AS n ON n.seq = d.notice
 WHERE d.state = 'due' AND n.at < :before AND d.channel NOT IN (SELECT value FROM json_each(:channels))
 ORDER BY d.notice LIMIT 50;

-- name: delivery_sent  (guard: due)
UPDATE deliveries SET state = 'sent', tries = tries + 1, place = :place, problem = NULL
 WHERE notice = :notice AND channel = :channel AND state = 'due';

-- name: delivery_failed  (guard: due)
UPDATE deliveries SET tries = tries + 1, next_try = :next_try, problem = :problem
 WHERE notice = :notice AND channel = :channel AND state = 'due';

-- name: delivery_given_up  (guard: due)
UPDATE deliveries SET state = 'given_up' WHERE notice = :notice AND channel = :channel AND state = 'due';

-- name: delivery_places
SELECT place FROM deliveries WHERE about = :about AND channel = :channel AND place IS NOT NULL ORDER BY notice;

-- name: deliveries_failing
SELECT channel, count(*) AS n, max(notice) AS newest FROM deliveries WHERE state = 'due' AND tries > 0 GROUP BY channel;

-- name: deliveries_given_up
SELECT d.channel, count(*) AS n, max(d.notice) AS newest FROM deliveries AS d JOIN notices AS n ON n.seq = d.notice
 WHERE d.state = 'given_up' AND n.at > :since GROUP BY d.channel;

-- name: delivery_get
SELECT * FROM deliveries WHERE notice = :notice AND channel = :channel;

-- name: envelope_take  (once)
INSERT OR IGNORE INTO envelopes (id, at) VALUES (:id, :at);

-- name: envelopes_forget
DELETE FROM envelopes WHERE at < :before;

-- name: listening_set
INSERT INTO listening (channel, problem, at) VALUES (:channel, :problem, :at)
ON CONFLICT (channel) DO UPDATE SET problem = excluded.problem, at = excluded.at;

-- name: listening
SELECT * FROM listening WHERE problem <> '' ORDER BY channel;

-- name: switch_get
SELECT * FROM switches WHERE id = :id;
