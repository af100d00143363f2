-- Every change of a key row leaves a note in the same transaction, whatever program made it. Notes wait here until they
-- are in the key change log, a file outside the cluster; which part of that file is known here stands in key_log.

CREATE TABLE key_change (
    seq      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relation text    NOT NULL,
    gone     boolean NOT NULL,
    rows     jsonb   NOT NULL
);
COMMENT ON TABLE key_change IS 'Changes that are not in the key change log yet, a note per statement';
COMMENT ON COLUMN key_change.seq IS 'Of two notes about one row the later has the higher one: the row was locked';

CREATE TABLE key_log (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation bigint  NOT NULL CHECK (generation >= 1),
    length     bigint  NOT NULL CHECK (length > 0),
    chain      bytea   NOT NULL CHECK (octet_length(chain) = 32)
);
COMMENT ON TABLE key_log IS 'The generation, length (bytes) and chained hash of the log that holds all notes taken away from here';

CREATE FUNCTION key_change_note_arrived() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO key_change (relation, gone, rows)
    SELECT TG_TABLE_NAME, false, jsonb_agg(to_jsonb(a)) FROM arrived a HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION key_change_note_gone() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO key_change (relation, gone, rows)
    SELECT TG_TABLE_NAME, true, jsonb_agg(to_jsonb(g)) FROM gone g HAVING count(*) > 0;
    RETURN NULL;
END $$;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY
        ARRAY['key_root', 'key_scope', 'key_node', 'destruction', 'destroyed_person', 'destroyed_scope']
    LOOP
        EXECUTE format('CREATE TRIGGER note_new AFTER INSERT ON %I REFERENCING NEW TABLE AS arrived '
                       'FOR EACH STATEMENT EXECUTE FUNCTION key_change_note_arrived()', relation);
        EXECUTE format('CREATE TRIGGER note_changed AFTER UPDATE ON %I REFERENCING NEW TABLE AS arrived '
                       'FOR EACH STATEMENT EXECUTE FUNCTION key_change_note_arrived()', relation);
    END LOOP;
END $$;
CREATE TRIGGER note_gone AFTER DELETE ON key_node
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION key_change_note_gone();

-- How far a renewal of all keys is: nodes are renewed level by level, upwards, in the order of their places.
CREATE TABLE key_renewal (
    renewal_id  uuid        PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    level       smallint    NOT NULL DEFAULT 0,
    place       bigint      NOT NULL DEFAULT -1,
    renewed     bigint      NOT NULL DEFAULT 0,
    finished_at timestamptz
);
CREATE UNIQUE INDEX key_renewal_one_at_a_time ON key_renewal ((true)) WHERE finished_at IS NULL;
