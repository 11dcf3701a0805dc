-- A call is kept from the moment it is accepted, with `ended_ms` and `reason` 0 until it is over: a relay that is killed
-- loses none. `running_ms` is when the relay last said that it was running, which it does while there are calls.

ALTER TABLE relay ADD COLUMN running_ms INTEGER NOT NULL DEFAULT 0;

CREATE INDEX open_calls ON calls (call) WHERE ended_ms = 0;

-- Of each two people so many calls are kept, whoever called.
CREATE INDEX calls_by_pair ON calls (min(caller, callee), max(caller, callee), began_ms);
