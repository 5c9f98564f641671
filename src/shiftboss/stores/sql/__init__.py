"""What the stores that speak SQL share: rows, questions, the order of writes; each completes it in its own words."""
