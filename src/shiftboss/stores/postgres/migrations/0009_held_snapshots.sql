-- A snapshot that somebody holds open keeps every row that was replaced or deleted since, and its index entries with it.
-- So whatever is asked all the time must find what it wants without passing those (stores/postgres/reads.py).
--
-- The commit numbers are appended instead of replaced: the last row of `committed` says how far the store has counted.
-- `first` is the oldest row of `committed` that is kept, `unclaimed` are the runs whose claims the commit ended.
-- `number`, `next_event` and `alone` of `meta` are no longer written.
ALTER TABLE committed ADD COLUMN next_event bigint, ADD COLUMN alone bigint, ADD COLUMN first bigint,
  ADD COLUMN unclaimed bigint[];
INSERT INTO committed (number, stamp) SELECT number, 0 FROM meta ON CONFLICT DO NOTHING;
UPDATE committed SET next_event = meta.next_event, alone = meta.alone,
  first = (SELECT min(oldest.number) FROM committed AS oldest)
FROM meta WHERE committed.number = meta.number;

-- Of all versions of a worker's row the newest has the largest number: it is found first, from the end of the index.
-- Transactions that write a worker exclude each other (locks.py), so there is one row for each name.
ALTER TABLE worker DROP CONSTRAINT worker_pkey, ADD PRIMARY KEY (name, number);
-- No waiting run stands before these: the first six are places in the queues (`due_at`), the last is an `occurs_at`.
ALTER TABLE worker ADD COLUMN waits_from bigint[] NOT NULL DEFAULT array_fill(-4611686018427387904, ARRAY[7]);

-- What others have claimed since a commit is found by its number.  There is no other index of claims: the planner believes
-- that they are few, and would as soon walk through all that have ended since.
CREATE INDEX run_claimed ON run (number) WHERE queue IS NULL;
DROP INDEX run_running;
