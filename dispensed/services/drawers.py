"""Locked drawers: look at them, open one for a person, and keep who did it and what was seen."""

from dataclasses import dataclass
from functools import partial

from dispensed.errors import Conflict, DeviceProblem, NotFound
from dispensed.ledger import accesses
from dispensed.ledger.accesses import Opening
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.services import counting
from dispensed.services.site import Site
from drivers.base import DrawerState
from drivers.errors import DeviceRefused, DriverError
from drivers.facts import DrawerReported, Fact

OPEN_TIMEOUT_S = 10.0
"""How long a drawer may take to show that it is open."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A person's wish to have one drawer opened; `request_id` is the caller's and opens once."""

    device: str
    drawer: str
    request_id: str
    actor: str
    reason: str


async def drawers(site: Site, device: str) -> tuple[DrawerState, ...]:
    """Return every drawer of a cabinet, read now; raises DeviceProblem or NotFound."""
    try:
        return await site.machines.drawers(device).drawers()
    except DriverError as error:
        raise DeviceProblem(f"device {device}: {error}; nothing was opened") from error


async def open_drawer(site: Site, asked: Asked) -> DrawerState:
    """Open a drawer and return it as its sensor shows it; the audit trail gets before and after.

    Controlled drugs that the book has in it are to be counted then (`counting.open_for_access`).

    A repeat of a request never opens again, not even after a restart: it returns how the drawer is
    when the first one opened it, and raises DeviceProblem while that is not known. Raises Conflict
    when the request was for another drawer or its lock must cool down, NotFound, DeviceProblem.
    """
    cabinet = site.machines.drawers(asked.device)
    known = await site.store.write(partial(_begin, asked=asked, stamp=_stamp(site, asked)))
    if known is not None and known.outcome != "nothing_done":
        return await _answer_again(site, asked, known)
    try:
        state = await cabinet.open_drawer(
            asked.drawer, request_id=asked.request_id, timeout_s=OPEN_TIMEOUT_S
        )
    except DriverError as error:
        outcome = {"drawer": asked.drawer, "moved": error.moved.value, "error": str(error)}
        await _settle(site, asked, outcome)
        raise _problem(asked, error) from error
    await _settle(site, asked, {"drawer": asked.drawer})
    return state


def _stamp(site: Site, asked: Asked) -> Stamp:
    return site.stamp(asked.actor, asked.reason)


def _begin(tx: Tx, *, asked: Asked, stamp: Stamp) -> Opening | None:
    """Note a request unless its command was sent before; returns how it stood."""
    known = accesses.find(tx, asked.device, asked.request_id)
    if known is not None and known.drawer != asked.drawer:
        raise Conflict(
            f"request {asked.request_id} was for drawer {known.drawer}, not {asked.drawer}"
        )
    if known is None or known.outcome == "nothing_done":
        accesses.ask(tx, asked.device, asked.drawer, asked.request_id, stamp)
    return known


async def _settle(site: Site, asked: Asked, outcome: dict[str, str]) -> None:
    stamp = _stamp(site, asked)

    def write(tx: Tx) -> None:
        accesses.settle(tx, asked.device, asked.request_id, stamp, outcome=outcome)
        if "error" not in outcome:
            counting.open_for_access(tx, site, asked.device, asked.drawer, stamp)

    await site.store.write(write)
    site.changes.notify("devices")


async def _answer_again(site: Site, asked: Asked, known: Opening) -> DrawerState:
    states = {state.drawer: state for state in await drawers(site, asked.device)}
    state = states.get(asked.drawer)
    if known.outcome == "opened" and state is not None:
        return state
    is_open = None if state is None else state.is_open
    seen = "unknown" if is_open is None else "open" if is_open else "shut"
    raise DeviceProblem(
        f"request {asked.request_id} was sent before and what came of it is not known; drawer"
        f" {asked.drawer} is {seen} now; look at it, then ask under a new request id"
    )


def _problem(asked: Asked, error: DriverError) -> Conflict | DeviceProblem | NotFound:
    text = f"device {asked.device}: {error}"
    if not isinstance(error, DeviceRefused):
        return DeviceProblem(f"{text}; moved: {error.moved.value}")
    if error.reason == "unknown_drawer":
        return NotFound(text)
    return Conflict(f"{text}; nothing was opened")


# ---------------------------------------------------------------- what drawers show


def raise_alarms(site: Site, device: str, facts: tuple[Fact, ...]) -> None:
    """Show a device as degraded while a drawer of it stands open for too long."""
    for fact in facts:
        if isinstance(fact, DrawerReported):
            reason = f"drawer {fact.drawer} stands open" if fact.overdue else ""
            site.machines.degrade(device, reason, about=f"drawer {fact.drawer}")
            site.changes.notify("devices")
