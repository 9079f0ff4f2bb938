"""Drawers over OPC UA: each is a LADS cover function, open when its state machine says Opened.

A locked cover is unlocked and then opened, each command once, while the unit's DI Lock is held
where it has one. What is known of the covers comes from one subscription, in its order; questions
are read at once. Source: see `codec`; tested against the simulator and an independent server, not
on hardware.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

from drivers.base import (
    DeviceSpec,
    DrawerState,
    Identity,
    Sink,
)
from drivers.delivery import Delivery
from drivers.drawers import DrawerBook
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
)
from drivers.opcua_cabinet.codec import CoverState, drawer_of
from drivers.opcua_cabinet.covers import Cover, Covers
from drivers.opcua_cabinet.options import parse_options
from drivers.opcua_link import check_address

SLICE_S = 0.05
"""Longest wait for the next change while others may wait for the same."""
RENEW_S = 2.0
"""Time between two renewals of the lock, well under the ten seconds that locks commonly last."""
CATCH_UP_MAX = 100
"""Changes that are taken before a command."""
LOOK_S = 0.02
"""Pause between two looks at a cover that is being unlocked."""


class OpcuaCabinetDriver:
    """Drawers (see `drivers.base.Drawers`), named as their covers are."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        check_address(spec.address)
        self._options = parse_options(spec.options)
        self._name = spec.name
        self._address = spec.address
        self._delivery = Delivery(spec.name, sink)
        self._session_id = uuid.uuid4().hex
        self._book = DrawerBook((), self._options.limits, session=self._session_id)
        self._covers: Covers | None = None
        self._busy = asyncio.Lock()
        self._taking = asyncio.Lock()

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open a session, find the covers and look at each."""
        await self.close()
        covers = Covers(self._address, self._options)
        identity = await covers.open()
        self._book.extend(covers.covers)
        self._covers = covers
        return identity

    async def watch(self) -> None:
        """Follow the covers, and ask for a sign of life; raises when the link is lost."""
        covers = self._connected()
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        while True:
            await self._take(covers)
            await self._delivery.empty(self._book.outbox)
            if loop.time() - asked_at >= self._options.link.keepalive_s:
                await covers.states()
                asked_at = loop.time()

    async def close(self) -> None:
        """Close the session; calls in progress fail."""
        covers, self._covers = self._covers, None
        if covers is not None:
            await covers.session.close()

    def _connected(self) -> Covers:
        if self._covers is None:
            raise DeviceUnavailable(f"{self._name}: not connected")
        return self._covers

    # ------------------------------------------------------------ drawers

    async def drawers(self) -> tuple[DrawerState, ...]:
        """Return every drawer, read now; `is_open` is None for a moving or faulty cover."""
        states = await self._connected().states()
        return tuple(drawer_of(name, state) for name, state in states.items())

    async def open_drawer(self, drawer: str, *, request_id: str, timeout_s: float) -> DrawerState:
        """Unlock and open a drawer and wait until its cover says Opened.

        A drawer that is open already is left alone; a repeat of a request never sends again. Raises
        DeviceRefused (`unknown_drawer`, `request_id`, `busy`, `locked`, or the machine's own) and
        all errors before the first command with moved NO, later ones with moved UNKNOWN.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with self._turn(deadline):
                covers = self._connected()
                repeated = self._book.check(drawer, request_id)
                if drawer not in covers.covers:
                    raise DeviceUnavailable(f"{self._name}: drawer {drawer} is gone")
                if not repeated:
                    await self._open(covers, drawer, request_id, deadline)
                await self._proof(covers, drawer, request_id, deadline)
            state = drawer_of(drawer, (await covers.states())[drawer])
        except DeviceRefused:
            raise
        except DriverError as error:
            error.moved = Moved.UNKNOWN if self._book.asked(request_id) else Moved.NO
            raise
        try:
            await self._delivery.empty(self._book.outbox)
        except DriverError as error:
            error.moved = Moved.YES
            raise
        return state

    async def _open(self, covers: Covers, drawer: str, request_id: str, deadline: float) -> None:
        cover = covers.covers[drawer]
        state = (await covers.states())[drawer]
        loop = asyncio.get_running_loop()
        if state is CoverState.OPENED:
            self._book.needless(drawer, request_id, loop.time())
        elif state in (CoverState.LOCKED, CoverState.CLOSED):
            await covers.take_lock()
            try:
                await self._catch_up(covers)
                await self._command(covers, cover, state, request_id, deadline)
                await self._proof(covers, drawer, request_id, deadline)
            finally:
                await self._leave_lock(covers)
        elif state in (None, CoverState.ERROR):
            raise DeviceFault(
                f"{self._name}: drawer {drawer} reports {state or 'no state that is known'}",
                reason=str(state or "unknown"),
                moved=Moved.NO,
            )
        else:
            raise DeviceRefused(f"{self._name}: drawer {drawer} is {state}", reason="busy")

    async def _command(
        self, covers: Covers, cover: Cover, state: CoverState, request_id: str, deadline: float
    ) -> None:
        """Unlock where needed, then open; each once."""
        locked = state is CoverState.LOCKED
        self._book.sending(cover.name, request_id, asyncio.get_running_loop().time())
        try:
            await covers.call(cover, "Unlock" if locked else "Open")
        except DeviceRefused:
            self._book.withdraw(request_id)
            raise
        if not locked:
            return
        while (await covers.states())[cover.name] in (CoverState.LOCKED, CoverState.UNLOCKING):
            if asyncio.get_running_loop().time() >= deadline:
                raise DeviceTimeout(f"{self._name}: drawer {cover.name} was not seen open; locked")
            await asyncio.sleep(LOOK_S)
        try:
            await covers.call(cover, "Open")
        except DeviceRefused as error:
            raise DeviceFault(f"unlocked, then {error}", reason=error.reason) from error

    async def _leave_lock(self, covers: Covers) -> None:
        # A lock that cannot be given back ends by itself; what was done is not changed by that.
        with contextlib.suppress(DriverError):
            await covers.leave_lock()

    async def _proof(self, covers: Covers, drawer: str, request_id: str, deadline: float) -> None:
        """Follow the covers until one is seen open because of a request."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while not self._book.proven(request_id):
            if loop.time() >= deadline:
                raise DeviceTimeout(f"{self._name}: drawer {drawer} was not seen open")
            await self._take(covers)
            if loop.time() - renewed_at >= RENEW_S:
                await covers.renew_lock()
                renewed_at = loop.time()

    # ------------------------------------------------------------ following

    async def _catch_up(self, covers: Covers) -> None:
        """Take the changes that are under way, so that none is laid to what is done next."""
        for _ in range(CATCH_UP_MAX):
            if not await self._take(covers, 2 * self._options.poll_s):
                return

    async def _take(self, covers: Covers, timeout_s: float = SLICE_S) -> bool:
        """Note the next change, and which drawers stand open for too long; False for no change."""
        loop = asyncio.get_running_loop()
        async with self._taking:
            change = await covers.next_change(timeout_s)
            if change is not None:
                name, state = change
                is_open = drawer_of(name, state).is_open
                if is_open is not None:
                    self._book.seen(
                        name, is_open=is_open, now=loop.time(), evidence=f"CoverState {state}"
                    )
            self._book.still(loop.time())
        return change is not None

    @contextlib.asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """Let one opening happen at a time."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._busy.acquire()
        except TimeoutError as error:
            raise DeviceTimeout(f"{self._name}: busy with another drawer") from error
        try:
            yield
        finally:
            self._busy.release()
