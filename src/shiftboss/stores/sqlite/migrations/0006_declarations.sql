-- Which sizes of a resource were declared, and in which order they were first seen: the JSON of a Declarations
-- (core/declarations.py).  Those of a worker stand in its state.
ALTER TABLE resource ADD COLUMN declarations TEXT;
