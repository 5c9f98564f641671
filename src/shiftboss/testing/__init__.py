"""Tests for what you build on shiftboss: virtual time, modelled functions, every rule checked at every commit."""

from shiftboss.testing.clock import VirtualClock
from shiftboss.testing.harness import Simulation
from shiftboss.testing.history import Violation

__all__ = ["Simulation", "Violation", "VirtualClock"]
