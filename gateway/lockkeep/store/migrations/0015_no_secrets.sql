-- Arguments hold secrets only while a call waits for people: `kept` is what stays of them once it does not.
ALTER TABLE payloads ADD COLUMN kept TEXT;
CREATE TRIGGER calls_unparked AFTER UPDATE OF state ON calls WHEN OLD.state = 'pending_approval' AND NEW.state != 'pending_approval'
BEGIN
    UPDATE payloads SET arguments = json_extract(kept, '$.arguments'), sent = json_extract(kept, '$.sent'), kept = NULL
     WHERE call = NEW.id AND kept IS NOT NULL;
END;
