"""One file for each library: the same five functions, in the library's own words.

settings()                             what matters for durability and speed, for the table: the library's own advice
                                       for production where it has one, else its default
prepare(store)                         make the store
produce(store)                         an async context manager; it gives `enqueue(job, numbers)`, which has stored all
                                       of them when it returns
work(store, bodies, slots, ready)      call ready() and run jobs, *slots* at once, until SIGTERM ends it as it ends a
                                       worker of this library
schedule(store, bodies, count, ready)  the same for *count* schedules, each of which calls bodies.tick(number) once a
                                       second; raises Absent where the library cannot

*store* is a file's path for SQLite, an address for PostgreSQL.  What jobs are there, and what each does: peer_jobs.py.
"""
