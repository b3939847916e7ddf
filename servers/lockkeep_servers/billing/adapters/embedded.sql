-- name: get_payment
SELECT * FROM payments WHERE id = :id;

-- name: search_payments  (in order of arrival, so that rows which arrive meanwhile come last)
SELECT * FROM payments
WHERE (:order_id IS NULL OR order_id = :order_id)
  AND (:customer_id IS NULL OR customer_id = :customer_id)
  AND (:status IS NULL OR status IN (SELECT value FROM json_each(:status)))
  AND (:since IS NULL OR captured_at >= :since)
  AND number > :after
ORDER BY number
LIMIT :limit;

-- name: give_back  (never more than is left)
UPDATE payments SET refunded_minor = refunded_minor + :amount_minor
WHERE id = :id AND captured_minor - refunded_minor >= :amount_minor;

-- name: take_back
UPDATE payments SET refunded_minor = refunded_minor - :amount_minor WHERE id = :id;

-- name: get_refund
SELECT * FROM refunds WHERE id = :id;

-- name: refunds_of
SELECT * FROM refunds WHERE payment_id = :payment_id ORDER BY number;

-- name: equal_refunds  (that count, oldest first)
SELECT * FROM refunds WHERE payment_id = :payment_id AND amount_minor = :amount_minor AND outcome IS NULL ORDER BY number;

-- name: add_refund
INSERT INTO refunds (id, payment_id, amount_minor, currency, reason, order_id, ticket_id, repeat_of, by, created_at, settles_at, outcome)
VALUES (:id, :payment_id, :amount_minor, :currency, :reason, :order_id, :ticket_id, :repeat_of, :by, :created_at, :settles_at, :outcome);

-- name: cancel_refund  (once, and only before it has gone out)
UPDATE refunds SET outcome = 'cancelled', version = version + 1
WHERE id = :id AND version = :version AND outcome IS NULL AND settles_at > :now;

-- name: get_vendor
SELECT * FROM vendors WHERE id = :id;

-- name: get_order  (open is what invoices that count have not billed yet, without tax)
SELECT o.*, o.total_minor - coalesce((
    SELECT sum(max(i.net_minor, 0)) FROM invoices i
    WHERE i.po_key = o.po_key AND i.currency = o.currency AND i.status NOT IN ('void', 'rejected')
), 0) AS open_minor
FROM purchase_orders o
WHERE o.po_key = :po_key;

-- name: get_invoice
SELECT i.*, v.name AS vendor_name FROM invoices i JOIN vendors v ON v.id = i.vendor_id WHERE i.id = :id;

-- name: search_invoices  (in order of arrival)
SELECT * FROM invoices
WHERE (:vendor_id IS NULL OR vendor_id = :vendor_id)
  AND (:number_key IS NULL OR number_key = :number_key)
  AND (:status IS NULL OR status IN (SELECT value FROM json_each(:status)))
  AND (:due_before IS NULL OR due < :due_before)
  AND number > :after
ORDER BY number
LIMIT :limit;

-- name: find_by_number
SELECT id FROM invoices WHERE vendor_id = :vendor_id AND number_key = :number_key AND status <> 'void';

-- name: add_invoice
INSERT INTO invoices (id, vendor_id, vendor_number, number_key, issued, due, currency, lines, net_minor, discount_minor, tax_minor,
    total_minor, po_number, po_key, match, differences, status, submitted_at, updated_at)
VALUES (:id, :vendor_id, :vendor_number, :number_key, :issued, :due, :currency, :lines, :net_minor, :discount_minor, :tax_minor,
    :total_minor, :po_number, :po_key, :match, :differences, :status, :submitted_at, :updated_at);

-- name: move_invoice  (whoever read this version, or nobody)
UPDATE invoices SET status = :status, submitted_at = :submitted_at, updated_at = :updated_at, version = version + 1
WHERE id = :id AND version = :version;

-- name: changes_of
SELECT at, by, old, new, reason FROM changes WHERE subject_id = :id ORDER BY number DESC LIMIT 20;

-- name: add_change
INSERT INTO changes (subject_id, at, by, old, new, reason) VALUES (:subject_id, :at, :by, :old, :new, :reason);

-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = :kind RETURNING last;

-- name: count_all
SELECT (SELECT count(*) FROM payments) + (SELECT count(*) FROM vendors) AS count;

-- name: add_payment
INSERT INTO payments (id, order_id, customer_id, currency, method, captured_at, captured_minor, refunded_minor, disputed)
VALUES (:id, :order_id, :customer_id, :currency, :method, :captured_at, :captured_minor, :refunded_minor, :disputed);

-- name: add_vendor
INSERT INTO vendors (id, name, active) VALUES (:id, :name, :active);

-- name: add_order
INSERT INTO purchase_orders (po_key, po_number, vendor_id, ordered_on, currency, lines, total_minor)
VALUES (:po_key, :po_number, :vendor_id, :ordered_on, :currency, :lines, :total_minor);
