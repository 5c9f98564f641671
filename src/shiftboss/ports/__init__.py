"""What the engine asks of stores, executors and functions, and what people's queries ask of a store."""

from shiftboss.ports.faces import AuditFilter as AuditFilter  # where they were before `shiftboss` had them
from shiftboss.ports.faces import HistoryFilter as HistoryFilter
from shiftboss.ports.faces import LetterFilter as LetterFilter
