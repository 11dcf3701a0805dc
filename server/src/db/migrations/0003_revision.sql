-- `people` rises when somebody's name, key, lock or devices change, whoever changes them: a running relay then reads
-- everybody anew. When they were last seen, and what is kept of calls, does not count: the relay writes that itself, every
-- two seconds of a call.

CREATE TABLE revision (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    people  INTEGER NOT NULL
) STRICT;

INSERT INTO revision (id, people) VALUES (1, 0);

CREATE TRIGGER somebody_came AFTER INSERT ON people
BEGIN UPDATE revision SET people = people + 1; END;

CREATE TRIGGER somebody_changed AFTER UPDATE OF id, name, folded_name, account_key, disabled ON people
BEGIN UPDATE revision SET people = people + 1; END;

CREATE TRIGGER somebody_went AFTER DELETE ON people
BEGIN UPDATE revision SET people = people + 1; END;

CREATE TRIGGER device_came AFTER INSERT ON devices
BEGIN UPDATE revision SET people = people + 1; END;

CREATE TRIGGER device_changed AFTER UPDATE ON devices
BEGIN UPDATE revision SET people = people + 1; END;

CREATE TRIGGER device_went AFTER DELETE ON devices
BEGIN UPDATE revision SET people = people + 1; END;
