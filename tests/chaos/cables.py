"""A network namespace joined to this machine by one cable that can lose what it carries, in one direction or in both.

Rules of this file
- What is lost is lost in silence, as on a real network: no socket is told.  The frames go to an address that is
  nobody's, which needs no module of the kernel (netem and packet filters are not everywhere).
- It needs root and `ip`; where they are missing the test fails and says so.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess

import pytest

NOBODY = "02:00:00:00:00:01"
NETWORK = "10.213.0.0/16"  # all cables
MISSING = (
    "cutting networks needs root and the program ip: apt-get install iproute2, and run as root (in a container with "
    "--privileged)"
)

_numbers = itertools.count(1)


class Cable:
    """`with` makes and removes it.  `within` starts a command at its far end, `here` is our address on it."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            pytest.fail(MISSING, pytrace=False)
        number = next(_numbers)
        third = (os.getpid() * 16 + number) % 256
        self._space = f"sb-{os.getpid()}-{number}"
        self._near, self._far = f"sbn{os.getpid()}-{number}"[:15], f"sbf{os.getpid()}-{number}"[:15]
        self.here, self.there = f"10.213.{third}.1", f"10.213.{third}.2"
        self.within = ("ip", "netns", "exec", self._space)

    def __enter__(self) -> Cable:
        _ip("netns", "add", self._space)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._space)
        _ip("address", "add", f"{self.here}/24", "dev", self._near)
        _ip("link", "set", self._near, "up")
        _ip("-n", self._space, "address", "add", f"{self.there}/24", "dev", self._far)
        _ip("-n", self._space, "link", "set", self._far, "up")
        _ip("-n", self._space, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "link", "delete", self._near], check=False)
        subprocess.run(["ip", "netns", "delete", self._space], check=False)

    def lose_what_comes(self) -> None:
        """What is sent from the far end never arrives here."""
        _ip(
            "-n", self._space, "neighbour", "replace", self.here, "lladdr", NOBODY, "dev", self._far, "nud", "permanent"
        )

    def lose_what_goes(self) -> None:
        """What is sent from here never arrives at the far end."""
        _ip("neighbour", "replace", self.there, "lladdr", NOBODY, "dev", self._near, "nud", "permanent")

    def lose_all(self) -> None:
        self.lose_what_comes()
        self.lose_what_goes()

    def unplug(self) -> None:
        """The far end sees that it has no carrier."""
        _ip("link", "set", self._near, "down")

    def mend(self) -> None:
        _ip("link", "set", self._near, "up")
        for where in (("-n", self._space), ()):
            device = self._far if where else self._near
            _ip(*where, "neighbour", "flush", "dev", device, "nud", "permanent")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"ip {' '.join(arguments)}: {done.stderr.strip()}; {MISSING}", pytrace=False)
