-- Rows that nobody could read, moved out of the way by a person: `data` is the whole row as JSON, with every column that
-- it had.  Nothing is ever deleted from here by itself.
CREATE TABLE set_aside (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  place text NOT NULL,
  row_id text NOT NULL,
  worker text NOT NULL,
  at bigint NOT NULL,
  by text NOT NULL,
  reason text NOT NULL,
  note text NOT NULL,
  data text NOT NULL
);

-- What cannot be read among the triggers of callers' transactions is passed by, until somebody sets it aside.
ALTER TABLE arrival ADD COLUMN is_unreadable boolean NOT NULL DEFAULT false;
CREATE INDEX arrival_fresh ON arrival (id) WHERE NOT is_unreadable;
