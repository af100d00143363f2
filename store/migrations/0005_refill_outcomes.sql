-- Brings back the outcomes that refilled records carry, so that a call repeated after a restore is not done twice.
-- carried: [{event, key, operation, body_mac (hex), mac_key_id, status, answer}]. Only while writes are not admitted.
-- The attempt of an outcome is not known any more: it gets a new one.

CREATE FUNCTION remember_outcomes(carried json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF (SELECT h.admitted_for IS NOT DISTINCT FROM log_incarnation() FROM log_head h FOR UPDATE) THEN
        RAISE EXCEPTION 'writes are admitted' USING ERRCODE = 'object_in_use';
    END IF;
    INSERT INTO idempotency (key, operation, body_mac, mac_key_id, status, answer, position, command_id)
    SELECT u.key, u.operation, decode(u.body_mac, 'hex'), u.mac_key_id, u.status, u.answer,
           (SELECT s.position FROM events s WHERE s.event_id = u.event), gen_random_uuid()
      FROM json_to_recordset(carried)
           u(event uuid, key text, operation text, body_mac text, mac_key_id text, status integer, answer text)
    ON CONFLICT DO NOTHING;
END
$$;

REVOKE ALL ON FUNCTION remember_outcomes FROM PUBLIC;
