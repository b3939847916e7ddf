-- name: get_order
SELECT * FROM orders WHERE id = :id;

-- name: get_order_now  (as if the holds whose time is over were settled)
SELECT o.*, coalesce(l.holds, 0) AS lapsed
FROM orders o
LEFT JOIN (SELECT order_id, count(*) AS holds FROM holds
           WHERE status = 'active' AND expires_at <= :now GROUP BY order_id) l ON l.order_id = o.id
WHERE o.id = :id;

-- name: search_orders  (the same; in order of arrival, so that rows which arrive meanwhile come last)
SELECT o.*, coalesce(l.holds, 0) AS lapsed
FROM orders o
LEFT JOIN (SELECT order_id, count(*) AS holds FROM holds
           WHERE status = 'active' AND expires_at <= :now GROUP BY order_id) l ON l.order_id = o.id
WHERE o.number > :after
  AND (:statuses IS NULL
       OR iif(o.status = 'reserved' AND l.holds > 0, 'paid', o.status) IN (SELECT value FROM json_each(:statuses)))
  AND (:customer_id IS NULL OR o.customer_id = :customer_id)
  AND (:placed_after IS NULL OR o.placed_at > :placed_after)
  AND (:late_only = 0 OR (o.promised < :now AND o.status NOT IN ('delivered', 'cancelled')))
  AND (:sku IS NULL OR EXISTS (SELECT 1 FROM order_lines i WHERE i.order_id = o.id AND i.sku = :sku))
ORDER BY o.number
LIMIT :limit;

-- name: order_lines
SELECT i.sku, i.qty, i.unit_price_minor, p.name, p.weight_g, p.hazmat
FROM order_lines i JOIN products p ON p.sku = i.sku
WHERE i.order_id = :order_id ORDER BY i.place;

-- name: order_payments
SELECT * FROM payments WHERE order_id = :order_id ORDER BY id;

-- name: order_shipments
SELECT * FROM shipments WHERE order_id = :order_id ORDER BY id;

-- name: order_holds
SELECT * FROM holds WHERE order_id = :order_id ORDER BY number;

-- name: get_hold
SELECT * FROM holds WHERE id = :id;

-- name: lapsed_holds
SELECT * FROM holds WHERE status = 'active' AND expires_at <= :now ORDER BY expires_at, number;

-- name: lapsed_stock  (what the holds whose time is over still count as reserved)
SELECT l.value ->> 'sku' AS sku, h.warehouse, sum(l.value ->> 'qty') AS qty
FROM holds h, json_each(h.lines) l
WHERE h.status = 'active' AND h.expires_at <= :now
GROUP BY 1, 2;

-- name: stock_of
SELECT s.* FROM stock s
WHERE s.sku = :sku AND (:warehouse IS NULL OR s.warehouse = :warehouse) ORDER BY s.warehouse;

-- name: warehouse
SELECT 1 FROM stock WHERE warehouse = :warehouse LIMIT 1;

-- name: get_product
SELECT * FROM products WHERE sku = :sku;

-- name: take_stock  (what nobody else holds, or nothing)
UPDATE stock SET reserved = reserved + :qty
WHERE sku = :sku AND warehouse = :warehouse AND on_hand - reserved >= :qty;

-- name: give_stock_back
UPDATE stock SET reserved = reserved - :qty WHERE sku = :sku AND warehouse = :warehouse;

-- name: move_stock_out  (it leaves with the hold on it)
UPDATE stock SET on_hand = on_hand - :qty, reserved = reserved - :qty WHERE sku = :sku AND warehouse = :warehouse;

-- name: move_stock_in  (it comes back with the hold on it)
UPDATE stock SET on_hand = on_hand + :qty, reserved = reserved + :qty WHERE sku = :sku AND warehouse = :warehouse;

-- name: add_hold
INSERT INTO holds (id, order_id, warehouse, lines, status, made_at, expires_at, updated_at)
VALUES (:id, :order_id, :warehouse, :lines, :status, :made_at, :expires_at, :made_at);

-- name: write_hold  (whoever read this version, or nobody)
UPDATE holds SET version = version + 1, status = :status, cancelled_from = :cancelled_from, pick_list_id = :pick_list_id,
    expires_at = :expires_at, updated_at = :updated_at
WHERE id = :id AND version = :version;

-- name: write_order  (whoever read this version, or nobody)
UPDATE orders SET version = version + 1, status = :status, held_from = :held_from, hold_reason = :hold_reason,
    cancelled_from = :cancelled_from, cancelled_at = :cancelled_at, restocked = :restocked, updated_at = :updated_at
WHERE id = :id AND version = :version;

-- name: write_price  (whoever read this version, or nobody)
UPDATE products SET version = version + 1, price_minor = :price_minor, updated_at = :updated_at
WHERE sku = :sku AND version = :version;

-- name: get_pick_list
SELECT * FROM pick_lists WHERE id = :id;

-- name: holds_of_pick_list
SELECT * FROM holds WHERE pick_list_id = :id ORDER BY number;

-- name: add_pick_list
INSERT INTO pick_lists (id, warehouse, status, lines, created_at, updated_at)
VALUES (:id, :warehouse, 'open', :lines, :at, :at);

-- name: cancel_pick_list  (an open one)
UPDATE pick_lists SET version = version + 1, status = 'cancelled', updated_at = :at WHERE id = :id AND status = 'open';

-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = :kind RETURNING last;

-- name: add_change
INSERT INTO changes (subject_id, version, at, by, field, old, new, reason)
VALUES (:subject_id, :version, :at, :by, :field, :old, :new, :reason);

-- name: last_changes
SELECT at, by, field, old, new, reason FROM changes WHERE subject_id = :id ORDER BY number DESC LIMIT 20;

-- name: changed_since
SELECT DISTINCT field FROM changes WHERE subject_id = :id AND version > :version ORDER BY field;

-- name: count_products
SELECT count(*) AS count FROM products;

-- name: add_product
INSERT INTO products (sku, name, price_minor, currency, weight_g, hazmat, updated_at)
VALUES (:sku, :name, :price_minor, :currency, :weight_g, :hazmat, :updated_at);

-- name: add_stock
INSERT INTO stock (sku, warehouse, bin, on_hand, reserved, incoming, incoming_on)
VALUES (:sku, :warehouse, :bin, :on_hand, :reserved, :incoming, :incoming_on);

-- name: add_order
INSERT INTO orders (id, customer_id, email, status, held_from, hold_reason, cancelled_from, cancelled_at, restocked, currency,
    subtotal_minor, discount_minor, shipping_minor, total_minor, warehouse, ship_to, comment, placed_at, promised, updated_at)
VALUES (:id, :customer_id, :email, :status, :held_from, :hold_reason, :cancelled_from, :cancelled_at, :restocked, :currency,
    :subtotal_minor, :discount_minor, :shipping_minor, :total_minor, :warehouse, :ship_to, :comment, :placed_at, :promised,
    :updated_at);

-- name: add_order_line
INSERT INTO order_lines (order_id, place, sku, qty, unit_price_minor) VALUES (:order_id, :place, :sku, :qty, :unit_price_minor);

-- name: add_payment
INSERT INTO payments (id, order_id, captured_minor, refunded_minor, currency)
VALUES (:id, :order_id, :captured_minor, :refunded_minor, :currency);

-- name: add_shipment
INSERT INTO shipments (id, order_id, tracking_number) VALUES (:id, :order_id, :tracking_number);
