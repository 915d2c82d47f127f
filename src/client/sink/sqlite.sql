CREATE TABLE sink (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    exchange TEXT NOT NULL,
    member TEXT NOT NULL,
    filter TEXT NOT NULL,
    cursor TEXT,
    epoch INTEGER NOT NULL,
    sequence INTEGER,
    steps INTEGER NOT NULL
) STRICT;

CREATE TABLE records (
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    publisher TEXT NOT NULL,
    kind TEXT NOT NULL,
    accept_time TEXT NOT NULL,
    header_digest TEXT NOT NULL,
    previous_digest TEXT,
    create_time TEXT,
    tlp TEXT,
    audiences TEXT,
    recipients TEXT,
    onward_uses TEXT,
    use_until TEXT,
    body_digest TEXT NOT NULL,
    in_doubt INTEGER NOT NULL,
    left_filter INTEGER NOT NULL,
    withdrawn_epoch INTEGER,
    withdrawn_sequence INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    erased_by INTEGER,
    body TEXT,
    envelope BLOB,
    unconfirmed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (epoch, sequence)
) STRICT;

CREATE INDEX records_by_name ON records (name, revision, epoch, sequence);

CREATE TABLE withdrawals (
    of TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    demand_deletion INTEGER NOT NULL,
    holding TEXT NOT NULL
) STRICT;

CREATE VIEW current AS
SELECT * FROM records AS this
WHERE withdrawn_sequence IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM records AS later
        WHERE later.name = this.name
            AND (later.revision, later.epoch, later.sequence) > (this.revision, this.epoch, this.sequence)
    );
