-- Processes that keep keys in memory, each on a lease: one that was not heard for its time uses no kept key any more.
CREATE TABLE key_holder (
    holder_id uuid        PRIMARY KEY,
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    recalled  bigint      NOT NULL,
    left_at   timestamptz
) WITH (fillfactor = 50);

-- Scopes of which no key is handed out any more, because it is about to be destroyed. A recall is not taken back.
CREATE TABLE recalled_scope (
    scope_id       uuid        PRIMARY KEY REFERENCES key_scope,
    number         bigint      NOT NULL,
    certificate_id uuid        NOT NULL,
    fenced_at      timestamptz NOT NULL
);
CREATE INDEX recalled_scope_number ON recalled_scope (number);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON recalled_scope
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
