-- The key tree: the root key is in the keyring, every key here is wrapped under its parent's current key.
-- Nothing here opens without the keyring; deleting a row hides nothing, only a destroyed root key does.

CREATE TABLE key_root (
    one             boolean  PRIMARY KEY DEFAULT true CHECK (one),
    installation_id uuid     NOT NULL,
    format          smallint NOT NULL,
    fanout          smallint NOT NULL CHECK (fanout BETWEEN 2 AND 64),
    top_level       smallint NOT NULL DEFAULT 1 CHECK (top_level >= 1),
    epoch           bigint   NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    key_id          uuid,
    CHECK ((epoch = 0) = (key_id IS NULL))
);

-- A person's place is a leaf of the tree; its ancestors follow from it: (level, place / fanout ^ level).
CREATE SEQUENCE person_place MINVALUE 0 START 0;

CREATE TABLE key_scope (
    scope_id   uuid        PRIMARY KEY,
    subject_id uuid        NOT NULL,
    category   text        NOT NULL,
    case_id    uuid,
    engagement integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (subject_id, category, case_id, engagement)
);

-- node_id is the subject id for a person's node and the scope id for a data key.
CREATE TABLE key_node (
    node_id        uuid     PRIMARY KEY,
    kind           text     NOT NULL CHECK (kind IN ('inner', 'person', 'data')),
    level          smallint,
    place          bigint,
    version        bigint   NOT NULL CHECK (version >= 1),
    parent_id      uuid     NOT NULL,
    parent_version bigint   NOT NULL,
    wrapped        bytea    NOT NULL CHECK (octet_length(wrapped) = 60),
    fingerprint    bytea    NOT NULL CHECK (octet_length(fingerprint) = 32),
    CHECK (CASE kind WHEN 'inner' THEN level >= 1 AND place >= 0
                     WHEN 'person' THEN level = 0 AND place >= 0
                     ELSE level IS NULL AND place IS NULL END),
    UNIQUE (level, place)
) WITH (fillfactor = 80);
CREATE INDEX key_node_parent ON key_node (parent_id);
CREATE UNIQUE INDEX key_node_data_key ON key_node (fingerprint) WHERE kind = 'data';

CREATE TABLE destruction (
    certificate_id uuid        PRIMARY KEY,
    requested_at   timestamptz NOT NULL,
    epoch_before   bigint      NOT NULL,
    epoch_after    bigint      NOT NULL CHECK (epoch_after > epoch_before),
    changed        uuid[]      NOT NULL,
    finished_at    timestamptz
);
CREATE INDEX destruction_unfinished ON destruction (epoch_after) WHERE finished_at IS NULL;

CREATE TABLE destroyed_person (
    subject_id     uuid        PRIMARY KEY,
    certificate_id uuid        NOT NULL REFERENCES destruction,
    destroyed_at   timestamptz NOT NULL
);

CREATE TABLE destroyed_scope (
    scope_id       uuid        PRIMARY KEY REFERENCES key_scope,
    certificate_id uuid        NOT NULL REFERENCES destruction,
    destroyed_at   timestamptz NOT NULL,
    fingerprint    bytea       NOT NULL UNIQUE
);
CREATE INDEX destroyed_scope_certificate ON destroyed_scope (certificate_id);

-- Rows that came or changed in key_node: each is wrapped under the parent's current version and stands where it belongs.
-- Parents are locked first, so a rotation that is under way has ended before they are looked at.
CREATE FUNCTION key_node_check_parent() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (SELECT FROM arrived WHERE kind <> 'data') THEN
        PERFORM FROM key_root FOR SHARE;
    END IF;
    PERFORM FROM key_node p WHERE p.node_id IN (SELECT a.parent_id FROM arrived a) FOR SHARE;
    IF EXISTS (
        SELECT FROM arrived a
        LEFT JOIN key_node p ON p.node_id = a.parent_id
        LEFT JOIN key_root r ON r.key_id = a.parent_id
        WHERE coalesce(p.version, r.epoch) IS DISTINCT FROM a.parent_version
    ) THEN
        RAISE EXCEPTION 'a key is wrapped under a version that is not its parent''s current one' USING ERRCODE = 'CKV01';
    END IF;
    IF EXISTS (
        SELECT FROM arrived a
        CROSS JOIN key_root r
        LEFT JOIN key_node p ON p.node_id = a.parent_id
        LEFT JOIN key_scope s ON s.scope_id = a.node_id
        WHERE CASE
            WHEN a.kind = 'data' THEN p.kind IS DISTINCT FROM 'person' OR s.subject_id IS DISTINCT FROM a.parent_id
            WHEN p.node_id IS NULL THEN a.kind <> 'inner'
            ELSE p.level <> a.level + 1 OR p.place <> a.place / r.fanout
        END
    ) THEN
        RAISE EXCEPTION 'a key stands in the wrong place of the tree' USING ERRCODE = 'CKV03';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER check_parent_of_new AFTER INSERT ON key_node
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION key_node_check_parent();
CREATE TRIGGER check_parent_of_changed AFTER UPDATE ON key_node
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION key_node_check_parent();

-- What was destroyed does not come back: no person, no scope, no key.
CREATE FUNCTION key_node_refuse_destroyed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM arrived a JOIN destroyed_scope d ON d.scope_id = a.node_id)
    OR EXISTS (SELECT FROM arrived a JOIN destroyed_scope d ON d.fingerprint = a.fingerprint)
    OR EXISTS (SELECT FROM arrived a JOIN destroyed_person d ON d.subject_id IN (a.node_id, a.parent_id)) THEN
        RAISE EXCEPTION 'the key was destroyed' USING ERRCODE = 'CKV02';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_destroyed AFTER INSERT ON key_node
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION key_node_refuse_destroyed();

-- A node that got a new key takes all its children with it, in the same statement.
CREATE FUNCTION key_node_check_children() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    renewed uuid[] := ARRAY(
        SELECT node_id FROM (SELECT node_id, version FROM arrived EXCEPT SELECT node_id, version FROM left_behind) n
    );
BEGIN
    IF EXISTS (
        SELECT FROM key_node parent
        JOIN key_node child ON child.parent_id = parent.node_id
        WHERE parent.node_id = ANY (renewed) AND child.parent_version <> parent.version
    ) THEN
        RAISE EXCEPTION 'a key changed and a child of it is still wrapped under the old one' USING ERRCODE = 'CKV04';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER check_children AFTER UPDATE ON key_node
    REFERENCING OLD TABLE AS left_behind NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION key_node_check_children();

-- A key goes only with the record of its destruction, and with everything below it.
CREATE FUNCTION key_node_check_gone() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g JOIN key_node child ON child.parent_id = g.node_id) THEN
        RAISE EXCEPTION 'a key was deleted and a child of it was not' USING ERRCODE = 'CKV04';
    END IF;
    IF EXISTS (
        SELECT FROM gone g
        LEFT JOIN destroyed_scope s ON s.scope_id = g.node_id
        LEFT JOIN destroyed_person p ON p.subject_id = g.node_id
        WHERE s.scope_id IS NULL AND p.subject_id IS NULL
    ) THEN
        RAISE EXCEPTION 'a key was deleted without a record of its destruction' USING ERRCODE = 'CKV05';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER check_gone AFTER DELETE ON key_node
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION key_node_check_gone();

-- A new root epoch is committed only with the top of the tree wrapped under it.
CREATE FUNCTION key_root_check_top() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM key_root WHERE epoch > 0) AND NOT EXISTS (
        SELECT FROM key_root r
        JOIN key_node top ON (top.level, top.place) = (r.top_level, 0)
        WHERE (top.parent_id, top.parent_version) = (r.key_id, r.epoch)
    ) THEN
        RAISE EXCEPTION 'the top of the tree is not wrapped under the root key' USING ERRCODE = 'CKV04';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER check_top AFTER INSERT OR UPDATE ON key_root DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION key_root_check_top();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'CKV06';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON key_scope
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON destroyed_scope
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON destroyed_person
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON destruction
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON key_node
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE DELETE OR TRUNCATE ON key_root
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Of a destruction only the end may be added, once.
CREATE FUNCTION destruction_only_ends() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL OR to_jsonb(NEW) - 'finished_at' <> to_jsonb(OLD) - 'finished_at' THEN
        RAISE EXCEPTION 'destruction is append-only' USING ERRCODE = 'CKV06';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_ends BEFORE UPDATE ON destruction FOR EACH ROW EXECUTE FUNCTION destruction_only_ends();
