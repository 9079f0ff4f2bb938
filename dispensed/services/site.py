"""What every use case gets: the ledger, the machines, the time, and whom to tell."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from dispensed.clock import Clock, site_date
from dispensed.ledger.engine import Store
from dispensed.ledger.post import Stamp
from dispensed.model.controlled import ControlledOptions
from dispensed.model.counting import CountPolicy
from dispensed.model.repacking import RepackOptions
from dispensed.services.changes import Changes
from dispensed.services.gate import CommandGate
from dispensed.services.recall_options import RecallOptions
from drivers.base import (
    Cabinet,
    Counter,
    Drawers,
    LabelPrinter,
    Scale,
)
from drivers.facts import Interpreter


class Machines(Protocol):
    """The devices as use cases see them; raises DeviceDown when the asked one is not up."""

    def scale(self, name: str | None = None) -> Scale:
        """Return a scale that is up."""
        ...

    def counter(self, name: str | None = None) -> Counter:
        """Return a counter that is up."""
        ...

    def cabinet(self, name: str | None = None) -> Cabinet:
        """Return a cabinet that is up."""
        ...

    def printer(self, name: str | None = None) -> LabelPrinter:
        """Return a printer that is up."""
        ...

    def drawers(self, name: str | None = None) -> Drawers:
        """Return a cabinet of drawers that is up."""
        ...

    def degrade(self, name: str, reason: str, *, about: str = "") -> None:
        """Say what impairs a device, by what it is about; an empty reason takes that back."""
        ...

    def device_names(self, capability: str) -> tuple[str, ...]:
        """Return the configured devices of a capability, in the order of the configuration."""
        ...

    def is_up(self, name: str) -> bool:
        """Whether the device can be commanded at this moment."""
        ...

    def location(self, name: str) -> str:
        """Return the ledger location whose stock the device holds."""
        ...

    def interpreter(self, name: str) -> Interpreter:
        """Return the pure function that reads the device's stored messages."""
        ...


@dataclass(frozen=True, slots=True)
class DispenseOptions:
    """How fills are made at this site."""

    weigh_check: bool = True
    label_required: bool = True
    command_timeout_s: float = 120.0
    weigh_timeout_s: float = 20.0
    attempts_max: int = 3
    scale_readability_ug: int = 10_000
    label_title: str = "dispensed"


@dataclass(frozen=True, slots=True)
class ExpiryOptions:
    """When lots are flagged and pulled before they expire, and what tells their demand."""

    tiers_days: tuple[int, ...] = (180, 90, 60, 30, 0)
    pull_days: int = 0
    demand_days: int = 90


@dataclass(frozen=True, slots=True)
class Site:
    """One pharmacy, wired by the composition root."""

    store: Store
    clock: Clock
    zone: ZoneInfo
    machines: Machines
    changes: Changes
    options: DispenseOptions = field(default_factory=DispenseOptions)
    counting: CountPolicy = field(default_factory=CountPolicy)
    expiry: ExpiryOptions = field(default_factory=ExpiryOptions)
    repack: RepackOptions = field(default_factory=RepackOptions)
    controlled: ControlledOptions = field(default_factory=ControlledOptions)
    recalls: RecallOptions = field(default_factory=RecallOptions)
    gate: CommandGate = field(default_factory=CommandGate)

    def now(self) -> datetime:
        """Return the present instant in UTC."""
        return self.clock.now()

    def today(self) -> date:
        """Return the date at the site; expiry is judged by it."""
        return site_date(self.clock, self.zone)

    def stamp(self, actor: str, reason: str = "") -> Stamp:
        """Return who, when and why for a write."""
        return Stamp(actor=actor, at=self.clock.now(), reason=reason)
