-- Rows that nobody could read, moved out of the way by a person: `data` is the whole row as JSON, with every column that
-- it had.  Nothing is ever deleted from here by itself.
CREATE TABLE set_aside (
  id INTEGER PRIMARY KEY,
  place TEXT NOT NULL,
  row_id TEXT NOT NULL,
  worker TEXT NOT NULL,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  note TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
