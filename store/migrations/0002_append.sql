-- Appends a batch of commands in one round trip. The head row is taken first; everything after it runs in statements
-- of its own, so each check sees all that committed before. A command that fails a check is refused whole and leaves
-- nothing; the others go in, in the order given, at the positions after the head.
--
-- Arrays hold one element per event (e_), expected stream (r_) and used id (u_); each names its command, counted
-- from 1. records: the bytes of all records one after the other, as UTF-8 text or as hex; e_from, e_size: where each
-- one lies, in bytes. r_version 0: the stream is not there. fences: [{command, event, id, kind, certificate, at}];
-- outcomes: [{command, event, attempt, key, operation, body_mac (hex), mac_key_id, status, answer}], one at most per
-- command; event: the command's last one.
--
-- Returns a row for command 0 with the head before, then one for each command that was not appended:
--   stored    by an earlier attempt: same event ids, same bytes, or same attempt
--   done, reused, rekeyed    its idempotency key is known: same body, another one, or MACs of different keys
--   closed    writes are not admitted for this incarnation, or the head is below at_least
--   fenced    about: the fenced ids it uses
--   conflict  about: the stream that moved
--   again     it depends on a command before it in this batch: nothing is decided, send it once more
--
-- Lookups are scalar subqueries on purpose: they stay index probes, whatever the planner thinks of unnest.
CREATE FUNCTION append_commands(
    commands integer, at_least bigint, records text, hex boolean,
    e_command integer[], e_id uuid[], e_stream uuid[], e_version integer[], e_type text[], e_from integer[],
    e_size integer[],
    r_command integer[], r_stream uuid[], r_version integer[], r_written boolean[],
    u_command integer[], u_id uuid[],
    fences json, outcomes json
) RETURNS TABLE (command integer, outcome text, positions bigint[], about uuid[], status integer, answer text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    v_head bigint;
    v_added bigint;
    v_open boolean;
    v_records bytea := CASE WHEN hex THEN decode(records, 'hex') ELSE convert_to(records, 'UTF8') END;
    v_refused boolean[] := array_fill(false, ARRAY[commands]);
BEGIN
    SELECT h.position, h.admitted_for IS NOT DISTINCT FROM log_incarnation() AND h.position >= at_least
      INTO STRICT v_head, v_open FROM log_head h FOR UPDATE;
    command := 0; outcome := 'head'; positions := ARRAY[v_head];
    RETURN NEXT;

    -- Stored before?
    IF (SELECT true FROM unnest(e_id) u(id) WHERE (SELECT true FROM events s WHERE s.event_id = u.id) LIMIT 1) THEN
        FOR command, outcome, positions, about IN
            SELECT q.command, CASE WHEN q.same THEN 'stored' ELSE 'conflict' END, q.positions, q.streams
              FROM (SELECT u.command, array_agg(s.position ORDER BY u.o) AS positions, count(s.position) AS known,
                           array_agg(u.stream ORDER BY u.o) AS streams,
                           bool_and(s.position IS NOT NULL AND (s.stream_id, s.version, s.type, s.record)
                                    = (u.stream, u.version, u.type, substring(v_records FROM u.start FOR u.size))
                                   ) AS same
                      FROM unnest(e_command, e_id, e_stream, e_version, e_type, e_from, e_size)
                           WITH ORDINALITY u(command, id, stream, version, type, start, size, o)
                      LEFT JOIN events s ON s.event_id = u.id
                     GROUP BY u.command) q
             WHERE q.known > 0
        LOOP
            v_refused[command] := true;
            RETURN NEXT;
        END LOOP;
    END IF;

    -- Idempotency key known?
    IF outcomes IS NOT NULL THEN
        FOR command, outcome, positions, status, answer IN
            SELECT q.command,
                   CASE WHEN q.key IS NULL THEN 'again' WHEN q.command_id = q.attempt THEN 'stored'
                        WHEN q.operation <> q.new_operation THEN 'reused'
                        WHEN q.mac_key_id <> q.new_mac_key_id THEN 'rekeyed'
                        WHEN q.body_mac <> q.new_body_mac THEN 'reused' ELSE 'done' END,
                   CASE WHEN q.command_id <> q.attempt THEN ARRAY[q.position] ELSE '{}' END, q.status, q.answer
              FROM (SELECT u.command, u.operation AS new_operation, u.mac_key_id AS new_mac_key_id, u.attempt,
                           decode(u.body_mac, 'hex') AS new_body_mac, i.*,
                           row_number() OVER (PARTITION BY u.key ORDER BY u.command) AS nth
                      FROM json_to_recordset(outcomes) u(command integer, attempt uuid, key text, operation text,
                                                         body_mac text, mac_key_id text)
                      LEFT JOIN idempotency i ON i.key = u.key) q
             WHERE (q.key IS NOT NULL OR q.nth > 1) AND NOT v_refused[q.command]
        LOOP
            v_refused[command] := true;
            RETURN NEXT;
        END LOOP;
        status := NULL; answer := NULL;
    END IF;
    positions := '{}';

    IF NOT v_open THEN
        outcome := 'closed'; about := '{}';
        FOR k IN 1 .. commands LOOP
            IF NOT v_refused[k] THEN
                command := k;
                RETURN NEXT;
            END IF;
        END LOOP;
        RETURN;
    END IF;

    -- Fenced?
    FOR command, about IN
        SELECT u.command, array_agg(u.id) FROM unnest(u_command, u_id) u(command, id)
         WHERE (SELECT true FROM fences f WHERE f.fenced_id = u.id) AND NOT v_refused[u.command] GROUP BY u.command
    LOOP
        outcome := 'fenced';
        v_refused[command] := true;
        RETURN NEXT;
    END LOOP;

    -- Streams where they were?
    FOR command, outcome, about IN
        SELECT q.command,
               CASE WHEN q.stored > q.version OR NOT q.behind THEN 'conflict' ELSE 'again' END, ARRAY[q.stream]
          FROM (SELECT u.command, u.stream, u.version,
                       coalesce((SELECT s.version FROM events s WHERE s.stream_id = u.stream
                                  ORDER BY s.version DESC LIMIT 1), least(u.version, 0)) AS stored,
                       coalesce(min(u.command) FILTER (WHERE u.written) OVER (PARTITION BY u.stream) < u.command, false)
                       AS behind
                  FROM unnest(r_command, r_stream, r_version, r_written) u(command, stream, version, written)) q
         WHERE (q.stored <> q.version OR q.behind) AND NOT v_refused[q.command]
    LOOP
        CONTINUE WHEN v_refused[command];
        v_refused[command] := true;
        RETURN NEXT;
    END LOOP;

    -- Fenced by a command before it in this batch?
    IF fences IS NOT NULL THEN
        outcome := 'again'; about := '{}';
        FOR command IN
            SELECT DISTINCT u.command FROM unnest(u_command, u_id) u(command, id)
              JOIN json_to_recordset(fences) f(command integer, id uuid) ON f.id = u.id AND f.command < u.command
             WHERE NOT v_refused[u.command] AND NOT v_refused[f.command]
        LOOP
            v_refused[command] := true;
            RETURN NEXT;
        END LOOP;
    END IF;

    INSERT INTO events (position, event_id, stream_id, version, type, record)
    SELECT v_head + row_number() OVER (ORDER BY u.o), u.id, u.stream, u.version, u.type,
           substring(v_records FROM u.start FOR u.size)
      FROM unnest(e_command, e_id, e_stream, e_version, e_type, e_from, e_size)
           WITH ORDINALITY u(command, id, stream, version, type, start, size, o)
     WHERE NOT v_refused[u.command];
    GET DIAGNOSTICS v_added = ROW_COUNT;

    IF fences IS NOT NULL THEN
        INSERT INTO fences (fenced_id, kind, certificate_id, at, position)
        SELECT u.id, u.kind, u.certificate, u.at, (SELECT s.position FROM events s WHERE s.event_id = u.event)
          FROM json_to_recordset(fences)
               u(command integer, event uuid, id uuid, kind text, certificate uuid, at timestamptz)
         WHERE NOT v_refused[u.command]
        ON CONFLICT DO NOTHING;
    END IF;
    IF outcomes IS NOT NULL THEN
        INSERT INTO idempotency (key, operation, body_mac, mac_key_id, status, answer, command_id, position)
        SELECT u.key, u.operation, decode(u.body_mac, 'hex'), u.mac_key_id, u.status, u.answer, u.attempt,
               coalesce((SELECT s.position FROM events s WHERE s.event_id = u.event), v_head + v_added)
          FROM json_to_recordset(outcomes) u(command integer, event uuid, attempt uuid, key text, operation text,
                                             body_mac text, mac_key_id text, status integer, answer text)
         WHERE NOT v_refused[u.command];
    END IF;
    IF v_added > 0 THEN
        UPDATE log_head SET position = v_head + v_added;
        PERFORM pg_notify('casekeeper_log', (v_head + v_added)::text);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION append_commands FROM PUBLIC;
