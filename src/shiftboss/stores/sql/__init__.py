"""What SQLite and PostgreSQL share: how values become rows, which questions are asked, the order of writes."""
