"""The covers of a LADS functional unit and its lock, found in one OPC UA session."""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncua import ua

from drivers.base import Identity
from drivers.errors import (
    DeviceRefused,
    DeviceUnavailable,
    Moved,
    Unsupported,
)
from drivers.opcua import UA_URI, Browse, Changes, Session, Step, value_of
from drivers.opcua_cabinet.codec import (
    DI_URI,
    LADS_URI,
    LOCK_DONE,
    LOCK_TAKEN,
    CoverState,
    state_of,
)
from drivers.opcua_cabinet.options import Options

COVERS_MAX = 480
_ID: Browse = ((LADS_URI, "CoverState"), (UA_URI, "CurrentState"), (UA_URI, "Id"))
_LOCK: Step = (DI_URI, "Lock")


@dataclass(frozen=True, slots=True)
class Cover:
    """One drawer: its state machine, the variable that tells its state, its methods if any."""

    name: str
    machine: ua.NodeId
    state: ua.NodeId
    open: ua.NodeId | None
    unlock: ua.NodeId | None


class Covers:
    """One session with a cabinet; opened once and closed once."""

    def __init__(self, address: str, options: Options) -> None:
        self.session = Session(address, options.link)
        self._options = options
        self._lock: ua.NodeId | None = None
        self._lock_methods: dict[str, ua.NodeId] = {}
        self.covers: dict[str, Cover] = {}
        self._names: dict[ua.NodeId, str] = {}
        self.changes: Changes | None = None

    async def open(self) -> Identity:
        """Connect, find the unit and its covers, follow them; on failure nothing stays open."""
        await self.session.open()
        try:
            device = await self.session.find(((LADS_URI, "FunctionalUnitSet"),))
            identity = await self.session.identify(device)
            unit = await self._unit(device)
            await self._find_covers(unit)
            await self._find_lock(unit)
            self.changes = await self.session.subscribe(
                [cover.state for cover in self.covers.values()], period_s=self._options.poll_s
            )
        except BaseException:
            await self.session.close()
            raise
        return identity

    async def _unit(self, device: ua.NodeId) -> ua.NodeId:
        (units,) = await self.session.resolve([(device, ((LADS_URI, "FunctionalUnitSet"),))])
        found = [] if units is None else await self.session.children(units)
        wanted = self._options.unit
        named = [(node, name) for node, (_, name) in found if wanted in ("", name)]
        if len(named) != 1:
            names = ", ".join(name for _, (_, name) in found) or "none"
            raise DeviceUnavailable(
                f"{self.session.address}: one functional unit expected, found {names};"
                " set the option 'unit'"
            )
        return named[0][0]

    async def _find_covers(self, unit: ua.NodeId) -> None:
        (functions,) = await self.session.resolve([(unit, ((LADS_URI, "FunctionSet"),))])
        found = [] if functions is None else await self.session.children(functions)
        paths: Sequence[Browse] = (
            _ID[:1],
            _ID,
            (_ID[0], (LADS_URI, "Open")),
            (_ID[0], (LADS_URI, "Unlock")),
        )
        nodes = await self.session.resolve([(node, path) for node, _ in found for path in paths])
        for at, (_, (_, name)) in enumerate(found):
            machine, state, opens, unlocks = nodes[4 * at : 4 * at + 4]
            if machine is None or state is None:
                continue
            if name in self.covers or len(self.covers) == COVERS_MAX:
                raise DeviceUnavailable(
                    f"{self.session.address}: two covers named {name}, or over {COVERS_MAX}"
                )
            self.covers[name] = Cover(name, machine, state, opens, unlocks)
            self._names[state] = name
        if not self.covers:
            raise Unsupported(f"{self.session.address}: the functional unit has no cover")

    async def _find_lock(self, unit: ua.NodeId) -> None:
        names = ("InitLock", "RenewLock", "ExitLock")
        nodes = await self.session.resolve(
            [(unit, (_LOCK,)), *((unit, (_LOCK, (DI_URI, name))) for name in names)]
        )
        lock, *methods = nodes
        if lock is not None and all(method is not None for method in methods):
            self._lock = lock
            self._lock_methods = {
                name: node for name, node in zip(names, methods, strict=True) if node is not None
            }

    # ------------------------------------------------------------ states

    async def states(self) -> dict[str, CoverState | None]:
        """Return the state of every cover, read now."""
        answers = await self.session.read([cover.state for cover in self.covers.values()])
        return {
            name: self._state(answer) for name, answer in zip(self.covers, answers, strict=True)
        }

    async def next_change(self, timeout_s: float) -> tuple[str, CoverState | None] | None:
        """Return the next change of a cover, None when none came in time."""
        if self.changes is None:
            raise DeviceUnavailable(f"{self.session.address}: not connected")
        change = await self.changes.next(timeout_s=timeout_s)
        if change is None or change[0] not in self._names:
            return None
        return self._names[change[0]], self._state(change[1])

    def _state(self, answer: ua.DataValue) -> CoverState | None:
        return state_of(self.session.numeric(value_of(answer), LADS_URI))

    # ------------------------------------------------------------ methods

    async def call(self, cover: Cover, name: str) -> None:
        """Call Open or Unlock, once; DeviceRefused: not carried out, else moved is UNKNOWN."""
        method = {"Open": cover.open, "Unlock": cover.unlock}[name]
        if method is None:
            raise DeviceRefused(f"{cover.name} has no method {name}", reason="no_method")
        await self.session.call(
            f"{name} {cover.name}", (cover.machine, method), moved=Moved.UNKNOWN
        )

    async def take_lock(self) -> None:
        """Take the unit's lock where there is one; raises DeviceRefused when another has it."""
        status = await self._lock_call("InitLock", [ua.Variant("dispensed", ua.VariantType.String)])
        if status != LOCK_DONE:
            why = "another client has its lock" if status == LOCK_TAKEN else f"status {status}"
            raise DeviceRefused(f"{self.session.address}: {why}", reason="locked")

    async def renew_lock(self) -> None:
        """Begin the lock's time anew; raises DriverError when it is lost."""
        if await self._lock_call("RenewLock") != LOCK_DONE:
            raise DeviceUnavailable(f"{self.session.address}: the lock was lost")

    async def leave_lock(self) -> None:
        """Give the lock back."""
        await self._lock_call("ExitLock")

    async def _lock_call(self, name: str, arguments: Sequence[ua.Variant] = ()) -> int:
        if self._lock is None:
            return LOCK_DONE
        given = await self.session.call(name, (self._lock, self._lock_methods[name]), arguments)
        value = given[0].Value if given else None
        return value if isinstance(value, int) else LOCK_TAKEN
