"""The HTTP side: a JSON API, live events, probes and the dashboard as one ASGI application (`boss.asgi()`)."""
