"""Where everything is kept: in memory for tests and simulation, in one SQLite file, or in a schema of PostgreSQL.

Rules of this package
- `memory`, `sqlite` and `postgres` know nothing of one another; `sql` is what the latter two share, and knows neither.
  Memory borrows its codec for the audit alone, whose bytes are the same in every store (A8).
- A module of a database is named like the one in `sql` that it completes: `sql/reads.py`, `sqlite/reads.py`.
"""
