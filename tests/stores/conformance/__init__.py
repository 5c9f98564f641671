"""The contract of a store, as tests: every store passes all of them, and a further store is done when it does.

How a further store is plugged in
1. Write in candidates.py how an empty one is opened and closed: a function of a `Ground` and a clock.  What it needs
   beyond a folder (a server, say) is a fixture, which `Ground.fixture` gives by its name.
2. Add its line to `CANDIDATES`.  Every test of this package runs over it from then on, test_model.py beside the others.
3. Until its rows can be changed past it, leave `rows` out: the tests of rows that cannot be read then pass it by.

    pytest tests/stores/conformance -k NAME

What belongs here is true of every store, and said in the words of `ports.py` alone.  What one database does by itself
(locks, files, servers that go away) is tested beside this folder.
"""
