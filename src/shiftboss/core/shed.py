"""(stub)"""
from __future__ import annotations
from shiftboss.core.model import Shed
from shiftboss.core.value import Value
class Pressures(Value, frozen=True):
    loop_lag_s: float = 0.0
    memory_share: float = 0.0
    store_s: float = 0.0
def shed_level(current: Shed, pressures: Pressures) -> tuple[Shed, str]:
    return Shed.NOTHING, ""
