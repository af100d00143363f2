-- Refilling also brings back the outcomes that records carry, so that a call repeated after a restore is not done twice.

DROP FUNCTION refill_events(
    bigint, text, boolean, uuid[], uuid[], integer[], text[], integer[], integer[], json
);

-- Puts records back at their own positions, with the fences that follow from them and the outcomes they carry:
-- implied: [{event, id, kind, certificate, at}]; carried: [{event, key, operation, body_mac (hex), mac_key_id, status,
-- answer}]. Only while writes are not admitted. The attempt of an outcome is not known any more: it gets a new one.
CREATE FUNCTION refill_events(
    first_position bigint, records text, hex boolean,
    e_id uuid[], e_stream uuid[], e_version integer[], e_type text[], e_from integer[], e_size integer[],
    implied json, carried json
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    v_head bigint;
    v_open boolean;
    v_records bytea := CASE WHEN hex THEN decode(records, 'hex') ELSE convert_to(records, 'UTF8') END;
BEGIN
    SELECT h.position, h.admitted_for IS NOT DISTINCT FROM log_incarnation()
      INTO STRICT v_head, v_open FROM log_head h FOR UPDATE;
    IF v_open THEN
        RAISE EXCEPTION 'writes are admitted' USING ERRCODE = 'object_in_use';
    END IF;
    IF v_head + 1 <> first_position THEN
        RAISE EXCEPTION 'the head is elsewhere' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (
        SELECT FROM (
            SELECT u.version,
                   coalesce(lag(u.version) OVER (PARTITION BY u.stream ORDER BY u.o),
                            (SELECT s.version FROM events s WHERE s.stream_id = u.stream
                              ORDER BY s.version DESC LIMIT 1),
                            least(u.version - 1, 0)) AS before
              FROM unnest(e_stream, e_version) WITH ORDINALITY u(stream, version, o)
        ) q WHERE q.before + 1 <> q.version
    ) THEN
        RAISE EXCEPTION 'a stream does not continue' USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    INSERT INTO events (position, event_id, stream_id, version, type, record)
    SELECT v_head + u.o, u.id, u.stream, u.version, u.type, substring(v_records FROM u.start FOR u.size)
      FROM unnest(e_id, e_stream, e_version, e_type, e_from, e_size)
           WITH ORDINALITY u(id, stream, version, type, start, size, o);
    INSERT INTO fences (fenced_id, kind, certificate_id, at, position)
    SELECT u.id, u.kind, u.certificate, u.at, (SELECT s.position FROM events s WHERE s.event_id = u.event)
      FROM json_to_recordset(implied) u(event uuid, id uuid, kind text, certificate uuid, at timestamptz)
    ON CONFLICT DO NOTHING;
    INSERT INTO idempotency (key, operation, body_mac, mac_key_id, status, answer, position, command_id)
    SELECT u.key, u.operation, decode(u.body_mac, 'hex'), u.mac_key_id, u.status, u.answer,
           (SELECT s.position FROM events s WHERE s.event_id = u.event), gen_random_uuid()
      FROM json_to_recordset(carried)
           u(event uuid, key text, operation text, body_mac text, mac_key_id text, status integer, answer text)
    ON CONFLICT DO NOTHING;
    v_head := v_head + cardinality(e_id);
    UPDATE log_head SET position = v_head;
    PERFORM pg_notify('casekeeper_log', v_head::text);
    RETURN v_head;
END
$$;

REVOKE ALL ON FUNCTION refill_events FROM PUBLIC;
