-- What the eventsourcing library keeps beside the log: snapshots and the like, and how far a follower has come.

CREATE TABLE aggregate_records (
    purpose text NOT NULL,
    stream_id uuid NOT NULL,
    version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (purpose, stream_id, version)
);

CREATE TABLE tracking (
    application_name text PRIMARY KEY,
    position bigint NOT NULL
);
