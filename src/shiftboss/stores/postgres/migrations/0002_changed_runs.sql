-- `number` is that of the last commit in which the run changed: a neighbour reads those claims that it does not know.
ALTER TABLE run ADD COLUMN number bigint NOT NULL DEFAULT 0;
