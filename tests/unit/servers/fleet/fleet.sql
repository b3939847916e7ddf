-- name: get_van
SELECT * FROM vans WHERE id = :id AND removed_at IS NULL;

-- name: vans_after
SELECT * FROM vans WHERE removed_at IS NULL AND number > :after ORDER BY number LIMIT :limit;

-- name: vans_from_place  (TC3: newest first, by position)
SELECT * FROM vans WHERE removed_at IS NULL ORDER BY number DESC LIMIT :limit OFFSET :after;

-- name: add_van
INSERT INTO vans (id, plate, depot) SELECT 'van_' || (max(number) + 1), :plate, :depot FROM vans RETURNING id;

-- name: move_van
UPDATE vans SET depot = :depot, version = version + 1 WHERE id = :id;

-- name: count_move  (TC8: nothing takes this back)
UPDATE vans SET moves = moves + 1 WHERE id = :id;

-- name: remove_van
UPDATE vans SET removed_at = :at, version = version + 1 WHERE id = :id;

-- name: any_van
SELECT * FROM vans WHERE id = :id;
