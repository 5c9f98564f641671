"""Tests of what you built on shiftboss: virtual time, modelled bodies, and a check of every promise at every commit."""

from shiftboss.testing.clock import VirtualClock
from shiftboss.testing.harness import Simulation
from shiftboss.testing.history import Violation

__all__ = ["Simulation", "Violation", "VirtualClock"]
