-- name: get_calendar
SELECT * FROM calendars WHERE id = :id;

-- name: get_event
SELECT * FROM events WHERE id = :id AND calendar = :calendar AND series_id IS NULL;

-- name: any_event
SELECT * FROM events WHERE id = :id;

-- name: events_between  (`ends` of a series is the end of its last occurrence)
SELECT * FROM events
WHERE calendar = :calendar AND series_id IS NULL AND status <> 'cancelled' AND starts < :finish AND ends > :begin
ORDER BY id;

-- name: replaced_occurrences
SELECT * FROM events WHERE calendar = :calendar AND series_id IS NOT NULL ORDER BY id;

-- name: replaced_of_series
SELECT * FROM events WHERE series_id = :series_id ORDER BY id;

-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = 'event' RETURNING last;

-- name: put_event
INSERT INTO events (id, calendar, series_id, occurrence, version, sequence, title, location, description, attendees, all_day, tz,
    wall, length_s, starts, ends, rrule, status, transparent, updated_at)
VALUES (:id, :calendar, :series_id, :occurrence, :version, :sequence, :title, :location, :description, :attendees, :all_day, :tz,
    :wall, :length_s, :starts, :ends, :rrule, :status, :transparent, :updated_at)
ON CONFLICT (id) DO UPDATE SET series_id = :series_id, occurrence = :occurrence, version = :version, sequence = :sequence,
    title = :title, location = :location, description = :description, attendees = :attendees, all_day = :all_day, tz = :tz,
    wall = :wall, length_s = :length_s, starts = :starts, ends = :ends, rrule = :rrule, status = :status,
    transparent = :transparent, updated_at = :updated_at;

-- name: drop_event  (a row a change had made, when the change is taken back)
DELETE FROM events WHERE id = :id;

-- name: add_notice
INSERT INTO notices (event_id, attendee, what, at) VALUES (:event_id, :attendee, :what, :at);

-- name: count_calendars
SELECT count(*) AS count FROM calendars;

-- name: add_calendar
INSERT INTO calendars (id, name, tz) VALUES (:id, :name, :tz);
