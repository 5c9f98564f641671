-- What people did, kept longer than other events: `data` is the JSON of the event, `id` its number among all events.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT;
INSERT INTO audit (id, at, data)
SELECT id, at, data FROM event WHERE CASE WHEN json_valid(data) THEN data ->> 'type' END = 'audit' ORDER BY id;

-- How far its chain had come with row `id`: the JSON of a Seal (core/audit.py).
CREATE TABLE audit_seal (
  id INTEGER PRIMARY KEY,
  data TEXT NOT NULL
) STRICT;
