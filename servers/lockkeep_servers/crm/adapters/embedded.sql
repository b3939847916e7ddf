-- name: get_record
SELECT * FROM records WHERE kind = :kind AND id = :id;

-- name: search_records  (in order of arrival, so that rows which arrive meanwhile come last)
SELECT * FROM records
WHERE kind = :kind
  AND archived_at IS NULL
  AND (:query IS NULL OR instr(fold(coalesce(name, '') || ' ' || coalesce(company, '') || ' ' || coalesce(email, '')), :query) > 0)
  AND (:email_key IS NULL OR email_key = :email_key)
  AND (:domain IS NULL OR domain = :domain)
  AND (:stage IS NULL OR stage = :stage)
  AND (:owner_id IS NULL OR owner_id = :owner_id)
  AND (:updated_after IS NULL OR updated_at > :updated_after)
  AND number > :after
ORDER BY number
LIMIT :limit;

-- name: find_by_email
SELECT * FROM records WHERE kind = :kind AND email_key = :email_key AND archived_at IS NULL;

-- name: similar_records  (the same mail domain)
SELECT id, kind, company, name FROM records
WHERE domain = :domain AND id <> :id AND archived_at IS NULL AND kind IN ('lead', 'company')
ORDER BY kind, id LIMIT 50;

-- name: known_domains  (public knowledge, and our own companies)
SELECT domain FROM directory
UNION
SELECT domain FROM records WHERE kind = 'company' AND domain IS NOT NULL;

-- name: records_about
SELECT id, kind FROM records WHERE about_id = :id AND archived_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 20;

-- name: company_of_domain
SELECT id FROM records WHERE kind = 'company' AND domain = :domain AND archived_at IS NULL ORDER BY id LIMIT 1;

-- name: last_changes
SELECT at, by, field, old, new FROM changes WHERE record_id = :id ORDER BY number DESC LIMIT 20;

-- name: changed_since
SELECT DISTINCT field FROM changes WHERE record_id = :id AND version > :version ORDER BY field;

-- name: owners
SELECT o.id, o.name, o.tz, o.capacity, o.active,
       (SELECT count(*) FROM records r
        WHERE r.kind = 'lead' AND r.owner_id = o.id AND r.archived_at IS NULL
          AND r.stage IN ('assigned', 'contacted', 'qualified')) AS open_leads
FROM owners o
WHERE (:active IS NULL OR o.active = :active)
  AND (:id IS NULL OR o.id = :id)
  AND (:territory IS NULL OR EXISTS (SELECT 1 FROM owner_countries c WHERE c.owner_id = o.id
                                     AND (c.territory = :territory OR c.country = :territory)))
ORDER BY length(o.id), o.id;

-- name: owner_countries
SELECT owner_id, territory, country FROM owner_countries ORDER BY territory, rowid;

-- name: look_up_domain
SELECT * FROM directory WHERE domain = :domain;

-- name: next_number
UPDATE sequences SET last = last + 1 WHERE kind = :kind RETURNING last;

-- name: add_record
INSERT INTO records (id, kind, version, name, email, email_key, company, domain, country, phone, source, industry, employees,
    value_minor, currency, stage, owner_id, lost_reason, won_minor, won_currency, about_id, type, body, due, archived_at, created_at, updated_at)
VALUES (:id, :kind, :version, :name, :email, :email_key, :company, :domain, :country, :phone, :source, :industry, :employees,
    :value_minor, :currency, :stage, :owner_id, :lost_reason, :won_minor, :won_currency, :about_id, :type, :body, :due, :archived_at, :created_at, :updated_at);

-- name: write_record  (whoever read this version, or nobody)
UPDATE records SET version = version + 1, name = :name, email = :email, email_key = :email_key, company = :company,
    domain = :domain, country = :country, phone = :phone, source = :source, industry = :industry, employees = :employees,
    value_minor = :value_minor, currency = :currency, stage = :stage, owner_id = :owner_id, lost_reason = :lost_reason,
    won_minor = :won_minor, won_currency = :won_currency, archived_at = :archived_at, updated_at = :updated_at
WHERE id = :id AND version = :version;

-- name: add_change
INSERT INTO changes (record_id, version, at, by, field, old, new) VALUES (:record_id, :version, :at, :by, :field, :old, :new);

-- name: count_owners
SELECT count(*) AS count FROM owners;

-- name: add_owner
INSERT INTO owners (id, name, email, tz, capacity, active) VALUES (:id, :name, :email, :tz, :capacity, :active);

-- name: add_owner_country
INSERT INTO owner_countries (owner_id, territory, country) VALUES (:owner_id, :territory, :country);

-- name: add_listing
INSERT INTO directory (domain, name, country, industry, employees, source, as_of)
VALUES (:domain, :name, :country, :industry, :employees, :source, :as_of);
