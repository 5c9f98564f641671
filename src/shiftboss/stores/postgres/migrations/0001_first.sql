-- The first schema.  A released migration never changes; the next one is 0002_….sql.
--
-- Everything lies in one schema of its own, named by search_path.  Instants are microseconds since 1970.  `data` is the
-- JSON text of the whole value, the other columns are what is asked about.  Hot tables stay small: a run that has ended
-- moves to the history.

-- One row, and the lock of every writer.  `number` is that of the last commit (the fence of its claims); `schema` is the
-- version of these tables, `store` names this store to its nodes.  The last three say where the row was written: a
-- cluster, its timeline, the table itself.  They differ after a failover or a restore, and numbers must not repeat then.
CREATE TABLE meta (
  id integer PRIMARY KEY CHECK (id = 1),
  application text NOT NULL,
  schema integer NOT NULL,
  store text NOT NULL,
  number bigint NOT NULL,
  next_run bigint NOT NULL,
  next_event bigint NOT NULL,
  cluster bigint,
  timeline bigint,
  place bigint
) WITH (fillfactor = 50);
INSERT INTO meta (id, application, schema, store, number, next_run, next_event)
VALUES (1, 'shiftboss', 0, gen_random_uuid()::text, 0, 1, 1);

-- Live runs.  `key` is the UTF-8 of any text, also of one with a NUL in it, which `text` cannot hold.  `queue` is 0 to 4 while a run waits (core/lane.py) and NULL while it runs.
CREATE TABLE run (
  id bigint PRIMARY KEY,
  worker text COLLATE "C" NOT NULL,
  queue smallint,
  due_at bigint NOT NULL,
  occurs_at bigint NOT NULL,
  origin smallint NOT NULL,
  key bytea,
  give_up_at bigint,
  replay_of bigint,
  caused_by bigint,
  data text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
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
  id bigint PRIMARY KEY,
  worker text COLLATE "C" NOT NULL,
  status smallint NOT NULL,
  finished_at bigint NOT NULL,
  error_type text COLLATE "C",
  key bytea,
  fired_at bigint,
  data text NOT NULL,
  result bytea
);
CREATE INDEX history_worker ON history (worker, id, status, finished_at);
CREATE INDEX history_finished ON history (finished_at, id);
CREATE INDEX history_status ON history (status, id) WHERE status <> 2;
CREATE INDEX history_error ON history (error_type, id) WHERE error_type IS NOT NULL;
CREATE INDEX history_key ON history (key, worker, id) WHERE key IS NOT NULL;
CREATE INDEX history_fired ON history (worker, fired_at) WHERE fired_at IS NOT NULL;

-- Payloads lie still from the trigger until the run is pruned: nothing that moves a run can touch their bytes.
CREATE TABLE payload (
  run bigint PRIMARY KEY,
  bytes bytea NOT NULL
);

-- What attempts logged: the last lines of each, until the run is pruned.
CREATE TABLE log (
  run bigint NOT NULL,
  fence bigint NOT NULL,
  number bigint NOT NULL,
  data text NOT NULL,
  PRIMARY KEY (run, fence, number)
);

CREATE TABLE dead_letter (
  run bigint PRIMARY KEY,
  worker text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,
  error_type text COLLATE "C" NOT NULL,
  entered_at bigint NOT NULL,
  closed_at bigint,
  has_payload smallint NOT NULL,
  replay_of bigint,
  caused_by bigint,
  data text NOT NULL
);
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
  name text COLLATE "C" PRIMARY KEY,
  number bigint NOT NULL,
  state text,
  record text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1);
CREATE INDEX worker_number ON worker (number);

CREATE TABLE breaker (
  name text COLLATE "C" PRIMARY KEY,
  number bigint NOT NULL,
  data text NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE resource (
  name text COLLATE "C" PRIMARY KEY,
  size bigint NOT NULL
);

CREATE TABLE node (
  id text COLLATE "C" PRIMARY KEY,
  data text NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE event (
  id bigint PRIMARY KEY,
  at bigint NOT NULL,
  worker text COLLATE "C" NOT NULL,
  data text NOT NULL
);
CREATE INDEX event_worker ON event (worker, id) WHERE worker <> '';

-- Triggers within transactions of their callers: inserted there without any lock, taken by the next cycle of a node.
CREATE TABLE arrival (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  data text NOT NULL,
  payload bytea
);

-- Writes and the commit travel together, so what must hold before the commit is asked for here, not by the client.
CREATE FUNCTION must_be_all(live bigint, wanted bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF live <> wanted THEN
    RAISE EXCEPTION 'of % runs to be % only % are live', wanted, what, live USING ERRCODE = 'SB001';
  END IF;
END $$;
CREATE FUNCTION must_not_have_fired(worker text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF worker IS NOT NULL THEN
    RAISE EXCEPTION 'an occurrence of "%" at that instant has run before (O1)', worker USING ERRCODE = 'SB001';
  END IF;
END $$;
