-- The log: its head, its events, its fences, and the outcomes of idempotent commands.

CREATE TABLE log_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    log_id uuid NOT NULL DEFAULT gen_random_uuid(),
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    admitted_for text
) WITH (fillfactor = 10);
COMMENT ON TABLE log_head IS 'One row, taken FOR UPDATE by everything that appends';
COMMENT ON COLUMN log_head.log_id IS 'Names this log; a restored copy has the same';
COMMENT ON COLUMN log_head.position IS 'Position of the last event; 0: none';
COMMENT ON COLUMN log_head.admitted_for IS 'The incarnation for which the head was compared with what is known outside';
INSERT INTO log_head DEFAULT VALUES;

CREATE TABLE events (
    position bigint PRIMARY KEY CHECK (position > 0),
    event_id uuid NOT NULL UNIQUE,
    stream_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 0),
    type text NOT NULL,
    record bytea NOT NULL,
    UNIQUE (stream_id, version)
);
COMMENT ON TABLE events IS 'Published events in commit order, positions 1, 2, 3, … without gaps';
COMMENT ON COLUMN events.record IS 'The bytes of the record''s value on Kafka';

CREATE TABLE fences (
    fenced_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('subject', 'scope')),
    certificate_id uuid NOT NULL,
    at timestamptz NOT NULL,
    position bigint NOT NULL CHECK (position > 0)
);
COMMENT ON TABLE fences IS 'People and key scopes for which nothing can be appended any more; derived from events';

CREATE TABLE idempotency (
    key text PRIMARY KEY,
    operation text NOT NULL,
    body_mac bytea NOT NULL,
    mac_key_id text NOT NULL,
    status integer NOT NULL,
    answer text NOT NULL,
    position bigint NOT NULL CHECK (position >= 0),
    command_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE idempotency IS 'Outcome per idempotency key: status, identifiers, and an HMAC of the body';
COMMENT ON COLUMN idempotency.command_id IS 'The attempt that wrote the row, so that it knows its own after a lost reply';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % takes inserts only', TG_TABLE_NAME USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

CREATE TRIGGER events_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER fences_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fences
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_insert_only;
ALTER TABLE fences ENABLE ALWAYS TRIGGER fences_insert_only;

-- A restart, a restore, a promoted standby and a table loaded from a dump each give another incarnation.
CREATE FUNCTION log_incarnation() RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT concat_ws(':',
        (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()),
        pg_relation_filenode('log_head'),
        extract(epoch FROM pg_postmaster_start_time()))
$$;
