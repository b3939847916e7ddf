-- name: get_shipment
SELECT * FROM shipments WHERE id = :id;

-- name: find_by_tracking
SELECT * FROM shipments WHERE tracking_number = :tracking_number;

-- name: bought_with
SELECT id FROM shipments WHERE rate_id = :rate_id;

-- name: scans_of
SELECT at, received_at, status, place, message FROM scans WHERE shipment_id = :id;

-- name: may_be_exceptions
-- With news since then, and late or with a scan that waits for somebody; in order of arrival. Which are exceptions, the clock
-- and the whole of their scans decide. With `open`, without what surely ended well or was replaced.
SELECT * FROM shipments s
WHERE s.number > :after
  AND (s.promised_at BETWEEN :since AND :now
       OR EXISTS (SELECT 1 FROM scans c WHERE c.shipment_id = s.id AND c.received_at BETWEEN :since AND :now))
  AND (max(coalesce(s.eta, :now), :now) >= strftime('%Y-%m-%dT%H:%M:%SZ', s.promised_at, :grace)
       OR EXISTS (SELECT 1 FROM scans c WHERE c.shipment_id = s.id AND c.received_at <= :now
                  AND c.status IN (SELECT value FROM json_each(:waiting))))
  AND (NOT :open
       OR ((s.superseded_by IS NULL
            OR EXISTS (SELECT 1 FROM shipments r WHERE r.id = s.superseded_by AND r.refund IS NOT NULL))
           AND (NOT EXISTS (SELECT 1 FROM scans c WHERE c.shipment_id = s.id AND c.received_at <= :now AND c.status = 'delivered')
                OR EXISTS (SELECT 1 FROM scans c WHERE c.shipment_id = s.id AND c.received_at <= :now AND c.status IN ('returned', 'lost')))))
ORDER BY s.number
LIMIT :limit;

-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = :kind RETURNING last;

-- name: add_quote
INSERT INTO quotes (shipment_id, sender, receiver, parcels, expires_at)
VALUES (:shipment_id, :sender, :receiver, :parcels, :expires_at) RETURNING id;

-- name: add_rate
INSERT INTO rates (id, quote_id, carrier, service, amount_minor, currency, guaranteed, picked_up_at, eta)
VALUES (:id, :quote_id, :carrier, :service, :amount_minor, :currency, :guaranteed, :picked_up_at, :eta);

-- name: get_rate
SELECT r.*, q.shipment_id, q.sender, q.receiver, q.parcels, q.expires_at
FROM rates r JOIN quotes q ON q.id = r.quote_id WHERE r.id = :id;

-- name: forget_quotes  (long expired: a week is enough to say so)
DELETE FROM quotes WHERE expires_at < :before;

-- name: add_shipment
INSERT INTO shipments (id, version, order_id, customer_id, tracking_number, carrier, service, amount_minor, currency, guaranteed,
    rate_id, sender, receiver, parcels, incident, promised_at, eta, bought_at, voidable_until, refund, refund_at, supersedes,
    superseded_by, interception, updated_at)
VALUES (:id, :version, :order_id, :customer_id, :tracking_number, :carrier, :service, :amount_minor, :currency, :guaranteed,
    :rate_id, :sender, :receiver, :parcels, :incident, :promised_at, :eta, :bought_at, :voidable_until, :refund, :refund_at, :supersedes,
    :superseded_by, :interception, :updated_at);

-- name: add_scan
INSERT INTO scans (shipment_id, at, received_at, status, place, message)
VALUES (:shipment_id, :at, :received_at, :status, :place, :message);

-- name: drop_scans_after  (a parcel whose label is void goes nowhere)
DELETE FROM scans WHERE shipment_id = :id AND at > :now;

-- name: write_shipment  (whoever read this version, or nobody)
UPDATE shipments SET version = version + 1, refund = :refund, refund_at = :refund_at, superseded_by = :superseded_by,
    interception = :interception, updated_at = :updated_at
WHERE id = :id AND version = :version;

-- name: link_shipment  (the world's own rebookings)
UPDATE shipments SET superseded_by = :superseded_by WHERE id = :id;

-- name: add_change
INSERT INTO changes (record_id, version, at, by, field, old, new) VALUES (:record_id, :version, :at, :by, :field, :old, :new);

-- name: changed_since
SELECT DISTINCT field FROM changes WHERE record_id = :id AND version > :version ORDER BY field;

-- name: count_shipments
SELECT count(*) AS count FROM shipments;
