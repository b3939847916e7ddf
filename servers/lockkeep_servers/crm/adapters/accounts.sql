-- name: get_account
SELECT * FROM accounts WHERE id = :id;

-- name: account_of_customer
SELECT * FROM accounts WHERE customer_id = :customer_id;

-- name: add_account
INSERT INTO accounts (id, customer_id, email, plan, status, created_at, updated_at)
VALUES (:id, :customer_id, :email, :plan, 'pending', :at, :at);

-- name: seed_account
INSERT INTO accounts (id, customer_id, email, plan, status, created_at, updated_at)
VALUES (:id, :customer_id, :email, :plan, :status, :at, :at);

-- name: set_account_status  (whoever read this version, or nobody)
UPDATE accounts SET status = :status, version = version + 1, updated_at = :at WHERE id = :id AND version = :version;

-- name: add_account_change
INSERT INTO account_changes (account_id, version, at, by, field, old, new)
VALUES (:account_id, :version, :at, :by, :field, :old, :new);

-- name: last_account_changes
SELECT at, by, field, old, new FROM account_changes WHERE account_id = :id ORDER BY number DESC LIMIT 20;
