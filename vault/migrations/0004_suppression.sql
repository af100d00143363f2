-- Keyed MACs of what erased people are recognised by: no person, no scope and no certificate beside them.
-- Nothing compares equal without the keyring, and nothing at all after the year's key is destroyed.

CREATE TABLE suppression (
    mac        bytea       PRIMARY KEY CHECK (octet_length(mac) = 32),
    expires_at timestamptz NOT NULL
);

-- In the key change log with the keys: a keys cluster that was restored recognises whom the lost one did.
CREATE TRIGGER note_new AFTER INSERT ON suppression
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION key_change_note_arrived();
CREATE TRIGGER note_changed AFTER UPDATE ON suppression
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION key_change_note_arrived();
CREATE TRIGGER note_gone AFTER DELETE ON suppression
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION key_change_note_gone();
