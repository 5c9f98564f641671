-- The commit with which the store went on when it was put back last, or after a reboot; 0 before that.
ALTER TABLE meta ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
-- In which file, and since which boot of its machine, it was last written: in another one it may be a copy, and nobody
-- knows what the one that it was copied from has counted since.
ALTER TABLE meta ADD COLUMN inode INTEGER;
ALTER TABLE meta ADD COLUMN boot TEXT;
