-- The first schema.  A released migration never changes; the next one is 0002_….sql.
--
-- Instants are microseconds since 1970.  `data` is the JSON of the whole value, the other columns are what is asked
-- about.  Hot tables stay small: a run that has ended moves to the history.

-- One row: the number of the last commit (the fence of its claims), the next id of a run, the next number of an event.
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  number INTEGER NOT NULL,
  next_run INTEGER NOT NULL,
  next_event INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, number, next_run, next_event) VALUES (1, 0, 1, 1);

-- Live runs.  `queue` is 0 to 4 while a run waits (core/lane.py) and NULL while it runs.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  worker TEXT NOT NULL,
  queue INTEGER,
  due_at INTEGER NOT NULL,
  occurs_at INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  key TEXT,
  give_up_at INTEGER,
  replay_of INTEGER,
  caused_by INTEGER,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX run_running ON run (id) WHERE queue IS NULL;
CREATE INDEX run_lane ON run (worker, queue, due_at, id) WHERE queue IS NOT NULL;
CREATE INDEX run_least ON run (worker, occurs_at, id) WHERE queue IS NOT NULL;
CREATE INDEX run_standing ON run (worker, id) WHERE queue IS NOT NULL AND origin <= 2;
CREATE INDEX run_give_up ON run (give_up_at, id) WHERE queue IS NOT NULL AND give_up_at IS NOT NULL;
CREATE UNIQUE INDEX run_key ON run (key, worker) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX run_occurrence ON run (worker, occurs_at) WHERE origin = 0;
CREATE INDEX run_replay_of ON run (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX run_caused_by ON run (caused_by) WHERE caused_by IS NOT NULL;

-- Finished runs.  Two indexes are paid for by every run, the others by those that they are about.
-- `fired_at` is the instant that a started occurrence has used up.
CREATE TABLE history (
  id INTEGER PRIMARY KEY,
  worker TEXT NOT NULL,
  status INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  error_type TEXT,
  key TEXT,
  fired_at INTEGER,
  data TEXT NOT NULL,
  result BLOB
) STRICT;
CREATE INDEX history_worker ON history (worker, id, status, finished_at);
CREATE INDEX history_finished ON history (finished_at, id);
CREATE INDEX history_status ON history (status, id) WHERE status <> 2;
CREATE INDEX history_error ON history (error_type, id) WHERE error_type IS NOT NULL;
CREATE INDEX history_key ON history (key, worker, id) WHERE key IS NOT NULL;
CREATE INDEX history_fired ON history (worker, fired_at) WHERE fired_at IS NOT NULL;

-- Payloads lie still from the trigger until the run is pruned: nothing that moves a run can touch their bytes.
CREATE TABLE payload (
  run INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

-- What attempts logged: the last lines of each, until the run is pruned.
CREATE TABLE log (
  run INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  number INTEGER NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (run, fence, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter (
  run INTEGER PRIMARY KEY,
  worker TEXT NOT NULL,
  state TEXT NOT NULL,
  error_type TEXT NOT NULL,
  entered_at INTEGER NOT NULL,
  closed_at INTEGER,
  has_payload INTEGER NOT NULL,
  replay_of INTEGER,
  caused_by INTEGER,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX dead_letter_state ON dead_letter (state, run);
CREATE INDEX dead_letter_open ON dead_letter (worker, has_payload, run) WHERE state = 'open';
CREATE INDEX dead_letter_worker ON dead_letter (worker, run);
CREATE INDEX dead_letter_error ON dead_letter (error_type, run);
CREATE INDEX dead_letter_closed ON dead_letter (closed_at, run) WHERE state <> 'open';
CREATE INDEX dead_letter_replay_of ON dead_letter (replay_of) WHERE replay_of IS NOT NULL AND state = 'open';
CREATE INDEX dead_letter_caused_by ON dead_letter (caused_by) WHERE caused_by IS NOT NULL AND state = 'open';

-- `number` is that of the last commit in which anything of the worker changed, its lane and its claims included.
-- A forgotten worker leaves its name behind, with neither state nor record.
CREATE TABLE worker (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  state TEXT,
  record TEXT
) STRICT;
CREATE INDEX worker_number ON worker (number);

CREATE TABLE breaker (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT;

CREATE TABLE resource (
  name TEXT PRIMARY KEY,
  size INTEGER NOT NULL
) STRICT;

CREATE TABLE node (
  id TEXT PRIMARY KEY,
  data TEXT NOT NULL
) STRICT;

CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  worker TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX event_worker ON event (worker, id) WHERE worker <> '';
