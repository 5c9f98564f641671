-- The commit with which the store went on when it was put back last, or failed over; 0 before that.
ALTER TABLE meta ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
-- Since when the server runs that it was last used on, in microseconds since 1970: after a restart somebody must say
-- that nothing is missing.
ALTER TABLE meta ADD COLUMN server_started bigint;
