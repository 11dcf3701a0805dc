-- Times are Unix milliseconds. Keys and tokens are raw bytes.

CREATE TABLE relay (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    opaque_setup  BLOB NOT NULL
) STRICT;

CREATE TABLE people (
    id                INTEGER PRIMARY KEY,
    name              TEXT NOT NULL,
    folded_name       TEXT NOT NULL UNIQUE,
    account_key       BLOB NOT NULL,
    sealed_key        BLOB NOT NULL,
    password_record   BLOB NOT NULL,
    device_list       BLOB NOT NULL,
    list_signature    BLOB NOT NULL,
    list_version      INTEGER NOT NULL,
    disabled          INTEGER NOT NULL DEFAULT 0,
    created_ms        INTEGER NOT NULL,
    last_seen_ms      INTEGER NOT NULL DEFAULT 0,
    history_seen_ms   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE devices (
    key     BLOB PRIMARY KEY,
    person  INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX devices_of_person ON devices (person);

-- Only the hash of a token is kept. An invite may be bound to a name; with `person` it replaces that person's
-- password instead of making somebody new.
CREATE TABLE invites (
    token_hash   BLOB PRIMARY KEY,
    name         TEXT,
    person       INTEGER REFERENCES people (id) ON DELETE CASCADE,
    expires_ms   INTEGER NOT NULL,
    used_ms      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE calls (
    id           INTEGER PRIMARY KEY,
    call         BLOB NOT NULL,
    caller       INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    callee       INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    began_ms     INTEGER NOT NULL,
    accepted_ms  INTEGER NOT NULL,
    ended_ms     INTEGER NOT NULL,
    reason       INTEGER NOT NULL
) STRICT;

CREATE INDEX calls_by_caller ON calls (caller, began_ms);
CREATE INDEX calls_by_callee ON calls (callee, began_ms);
