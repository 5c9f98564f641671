"""What looks like the address of a server is never taken for a file, and shown without what could be a secret (A10)."""

from __future__ import annotations

import pytest

from shiftboss.core.address import is_of_server, shown, without_password


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://host/db",
        "postgres://user:secret@host/db",
        "x; password=secret",
        "data dir 'host = here'",
        "host=here dbname=jobs",
        "postgres:/host/db",
        "localhost:5432/jobs",
        "postgres//host",
        "user@host",
    ],
)
def test_this_is_of_a_server(text):
    """A10"""
    assert is_of_server(text)


@pytest.mark.parametrize(
    "text",
    ["jobs.db", "/var/lib/jobs.db", "./a@b.db", "../jobs:1.db", "~/jobs.db", r"C:\jobs.db", "C:/jobs.db", "a/b:c"],
)
def test_this_is_a_file(text):
    assert not is_of_server(text)


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("postgres://ann:secret@host:5432/jobs", "postgres://ann@host:5432/jobs"),
        ("postgresql://ann@host/jobs", "postgresql://ann@host/jobs"),
        ("https://token@host/x", "https://host/x"),
        (
            "postgres://host/jobs?schema=s&password=secret&sslmode=require",
            "postgres://host/jobs?schema=s&sslmode=require",
        ),
        ("postgres://ann:se/cret@host/jobs", "postgres://…"),
        ("sqlite:///var/jobs.db", "sqlite:///var/jobs.db"),
        ("memory:", "memory:"),
        (" jobs.db ", "jobs.db"),
    ],
)
def test_it_is_shown_without_a_password(address, safe):
    """A10"""
    assert "secret" not in shown(address)
    assert shown(address) == safe


def test_only_the_address_of_a_server_is_changed():
    assert without_password(" jobs.db ") == " jobs.db "
    assert without_password("postgres://ann:secret@host/jobs") == "postgres://ann@host/jobs"
    assert "secret" not in without_password("sqlite:///postgres://ann:secret@host/jobs")
