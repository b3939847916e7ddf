-- name: list_vans  (in order of arrival)
SELECT * FROM vans
WHERE retired = :retired AND (:depot IS NULL OR depot = :depot) AND number > :after
ORDER BY number
LIMIT :limit;

-- name: get_van
SELECT * FROM vans WHERE id = :id;

-- name: van_of_plate
SELECT * FROM vans WHERE plate = :plate;

-- name: add_van
INSERT INTO vans (plate, depot, updated_at) VALUES (:plate, :depot, :at) RETURNING id;

-- name: write_van  (whoever read this version, or nobody)
UPDATE vans SET depot = :depot, retired = :retired, version = version + 1, updated_at = :at
WHERE id = :id AND version = :version;
