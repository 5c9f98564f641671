-- Components of workers decide beside each other, and commits stand in one order all the same (decision 0008).
--
-- A transaction draws its stamp when it has its locks: the fence of its claims, and what its rows are marked with
-- (`number` of worker, breaker and run).  Its place among all commits it is given by the row of `meta` as its last act;
-- `committed` says which stamp stands at which place.
CREATE SEQUENCE stamp AS bigint;
SELECT setval('stamp', greatest(number, 1), number > 0) FROM meta;
CREATE TABLE committed (
  number bigint PRIMARY KEY,
  stamp bigint NOT NULL
);
-- The last commit of a transaction that had the whole store to itself: whoever has not seen it must look at everything.
ALTER TABLE meta ADD COLUMN alone bigint NOT NULL DEFAULT 0;
UPDATE meta SET alone = number;

-- Ids of runs are drawn in the same way.  `next_run` of `meta` stays for older versions, which read it before they learn
-- that this schema is none of theirs; nobody counts it any more.
CREATE SEQUENCE run_id AS bigint;
SELECT setval('run_id', next_run, false) FROM meta;
