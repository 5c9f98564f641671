"""The contract of a store, as tests.  Every store passes all of them.

How to plug in another store
1. Write a function in candidates.py that opens an empty store and closes it.  It gets a `Ground` and a clock.  If the
   store needs more than a folder (a server, say), make that a fixture; `Ground.fixture` returns it by its name.
2. Add a line to `CANDIDATES`.  Every test of this package then runs on the new store too, and test_model.py compares it
   with the others.
3. Leave `rows` out as long as no test can change the rows of the store behind its back.  The tests of unreadable rows
   are then not run on it.

    pytest tests/stores/conformance -k NAME

A test belongs here if it is true of every store and uses nothing but `ports/`.  What is special about one database
(locks, files, servers that go away) is tested beside this folder.
"""
