-- How far the wall clock has been set in all, and how it stood against elapsed time when somebody last looked: the JSON
-- of a ClockMark (core/model.py).
ALTER TABLE meta ADD COLUMN clock text;
-- By what a waiting run is timed: 0 elapsed time, 1 the same and it has begun (its `occurs_at` stays), 2 the calendar.
-- Of runs that were stored before, nobody knows whether they wait for an instant or for a while: for a while.
ALTER TABLE run ADD COLUMN timed smallint NOT NULL DEFAULT 0;
UPDATE run SET timed = 1 WHERE data LIKE '%"first_started_at":"%';
