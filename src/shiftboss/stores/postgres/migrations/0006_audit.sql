-- What people did, kept longer than other events: `data` is the JSON of the event, `id` its number among all events.
CREATE TABLE audit (
  id bigint PRIMARY KEY,
  at bigint NOT NULL,
  data text NOT NULL
);
INSERT INTO audit (id, at, data) SELECT id, at, data FROM event WHERE data LIKE '{"type":"audit",%' ORDER BY id;

-- How far its chain had come with row `id`: the JSON of a Seal (core/audit.py).
CREATE TABLE audit_seal (
  id bigint PRIMARY KEY,
  data text NOT NULL
);
