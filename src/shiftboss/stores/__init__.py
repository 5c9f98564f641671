"""Where everything is kept: in memory for tests and simulation, in one SQLite file, or in a schema of PostgreSQL.

Rules of this package
- `memory`, `sqlite` and `postgres` do not import one another.  `sql` is what SQLite and PostgreSQL share, and imports
  neither.  Memory uses its codec only for the rows of the audit, whose bytes are the same in every store (A8).
- A module of a database has the name of the module in `sql` on which it builds: `sql/reads.py`, `sqlite/reads.py`.
"""
