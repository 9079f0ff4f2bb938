"""Locked drawers on lock boards: an opening is what the hook says, and nothing else.

A command to open goes out once. Whether the drawer opened is asked of its hook until that says so
in agreeing answers: two in a row where frames carry a checksum or the line a parity bit, else
three. Source: see `codec`; tested against the simulator, not on hardware.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

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
    Disagreement,
    DriverError,
    Moved,
    ProtocolError,
)
from drivers.lockboard.bus import Bus, Heard
from drivers.lockboard.codec import Hook, OpenRequest, StatusRequest
from drivers.lockboard.options import parse_options
from drivers.transport import LinkLost, Transport, transport_for

FAILURES_MAX = 6
"""Questions in a row without a proper answer before a call gives up on them."""
CHANGES_MAX = 12
"""Answers that do not agree before a call gives up."""
TRIES_MAX = 3
"""Questions without an answer in one round before a board counts as missed in it."""
MISSES_MAX = 3
"""Rounds in a row in which a board was missed before it counts as silent."""
CALL_TIMEOUT_S = 60.0
"""Upper bound of one reading of all drawers; each question is far shorter."""
_NO_ANSWER = (ProtocolError, DeviceTimeout, Disagreement)


@dataclass(frozen=True, slots=True)
class _Question:
    """One status request and the drawers that its answer tells."""

    request: StatusRequest
    drawers: tuple[tuple[str, int], ...]
    """Name, and place in the answer."""


class LockboardDriver:
    """Drawers (see `drivers.base.Drawers`), named BOARD.LOCK; options are in `options`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        self._name = spec.name
        self._options = parse_options(spec.options)
        self._delivery = Delivery(spec.name, sink)
        line = transport or transport_for(spec.address)
        dialect = self._options.dialect
        self._bus = Bus(
            line,
            dialect,
            gap_s=self._options.gap_s,
            reply_timeout_s=self._options.reply_timeout_s,
        )
        self._need = 2 if dialect.checked or line.parity else 3
        self._questions = self._plan()
        self._book = DrawerBook(
            self._options.places, self._options.limits, session=uuid.uuid4().hex
        )
        self._misses = dict.fromkeys(self._options.boards, 0)
        self._rounds = 0
        self._lock = asyncio.Lock()
        self._up = False
        self._loss: DriverError | None = None
        self._lost = asyncio.Event()

    def _plan(self) -> dict[int, tuple[_Question, ...]]:
        """Return the questions that tell all drawers of each board."""
        plan: dict[int, tuple[_Question, ...]] = {}
        for board in self._options.boards:
            mine = [(name, at) for name, at in self._options.places.items() if at.board == board]
            if self._options.dialect.whole_board:
                told = tuple((name, at.lock - 1) for name, at in mine)
                plan[board] = (_Question(StatusRequest(board), told),)
            else:
                plan[board] = tuple(
                    _Question(StatusRequest(board, at.lock), ((name, 0),)) for name, at in mine
                )
        return plan

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open the line and ask every board; at least one must answer."""
        async with self._lock, contextlib.AsyncExitStack() as undo:
            self._up = False
            await self._bus.open()
            undo.push_async_callback(self._bus.close)
            self._loss = None
            self._lost.clear()
            silent: dict[int, DriverError] = {}
            for board in self._options.boards:
                self._misses[board] = 0
                try:
                    await self._meet(board)
                except _NO_ANSWER as error:
                    silent[board] = error
                    self._misses[board] = MISSES_MAX
            if len(silent) == len(self._misses):
                raise DeviceUnavailable(f"{self._name}: {next(iter(silent.values()))}")
            self._up = True
            undo.pop_all()
        await self._deliver()
        return Identity(model=self._describe(silent), link="open")

    def _describe(self, silent: dict[int, DriverError]) -> str:
        boards = ", ".join(str(board) for board in self._misses if board not in silent)
        text = f"{self._options.dialect.name}, boards {boards}"
        return f"{text}; silent {', '.join(map(str, silent))}" if silent else text

    async def watch(self) -> None:
        """Look at all drawers at an interval; raises when the link is lost or a board is silent.

        A board that stays silent after that does not end the watch again.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_interval_s):
                    await self._lost.wait()
            if self._loss is not None:
                raise self._loss
            await self._deliver()
            await self._round()
            await self._deliver()

    async def close(self) -> None:
        """Close the line; calls in progress fail with DeviceUnavailable."""
        self._up = False
        await self._bus.close()

    # ------------------------------------------------------------ drawers

    async def drawers(self) -> tuple[DrawerState, ...]:
        """Return every drawer, read now; `is_open` is None where its board does not tell.

        Raises DriverError when no board answers.
        """
        deadline = asyncio.get_running_loop().time() + CALL_TIMEOUT_S
        states: dict[str, DrawerState] = {}
        failed: DriverError | None = None
        for board in self._options.boards:
            try:
                states |= await self._read_board(board, deadline)
            except _NO_ANSWER as error:
                failed = error
        await self._deliver()
        if failed is not None and not states:
            raise failed
        return tuple(states.get(name, DrawerState(name, None)) for name in self._book.names)

    async def open_drawer(self, drawer: str, *, request_id: str, timeout_s: float) -> DrawerState:
        """Unlock a drawer and wait until its hook is seen open.

        A drawer that is open already is left alone. A repeat of a request never sends again: it
        returns how the drawer is once the request is known to have opened it, and waits for that
        before. Raises DeviceRefused (`unknown_drawer`, `request_id`, `cooling`) and all errors
        before the command with moved NO; DeviceTimeout with moved UNKNOWN without a proof.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            said = await self._begin(drawer, request_id, deadline)
            state = await self._proof(drawer, request_id, deadline, said)
        except DeviceRefused:
            raise
        except DriverError as error:
            error.moved = Moved.UNKNOWN if self._book.asked(request_id) else Moved.NO
            raise
        try:
            await self._deliver()
        except DriverError as error:
            error.moved = Moved.YES
            raise
        return state

    async def _begin(self, drawer: str, request_id: str, deadline: float) -> str:
        """Do a request that is new; look at the drawer of one that is not."""
        async with self._turn(deadline):
            if not self._book.check(drawer, request_id):
                return await self._unlock(drawer, request_id, deadline)
            if self._book.proven(request_id):
                await self._look(drawer, deadline)
        return ""

    async def _unlock(self, drawer: str, request_id: str, deadline: float) -> str:
        """Fire the lock of a drawer that is not open; returns what the board says of it."""
        loop = asyncio.get_running_loop()
        state = await self._look(drawer, deadline)
        if state.is_open:
            self._book.needless(drawer, request_id, loop.time())
            return ""
        if state.is_open is None:
            text = f"{self._name}: the board says that the lock of {drawer} cools down"
            raise DeviceRefused(text, reason="cooling")
        self._book.check_rest(drawer, loop.time())
        await self._bus.settle()
        if loop.time() >= deadline:
            raise DeviceTimeout(f"{self._name}: no time left to open drawer {drawer}")
        place = self._options.places[drawer]
        self._book.sending(drawer, request_id, loop.time())
        return await self._bus.fire(OpenRequest(place.board, place.lock))

    async def _proof(self, drawer: str, request_id: str, deadline: float, said: str) -> DrawerState:
        """Look at the hook until it proves that a request opened its drawer."""
        loop = asyncio.get_running_loop()
        while not self._book.proven(request_id):
            if loop.time() >= deadline:
                word = f"; the board said {said}" if said else ""
                raise DeviceTimeout(f"{self._name}: drawer {drawer} was not seen open{word}")
            with contextlib.suppress(*_NO_ANSWER):
                async with self._turn(deadline):
                    await self._look(drawer, deadline)
        return self._book.state(drawer)

    # ------------------------------------------------------------ looking

    async def _look(self, drawer: str, deadline: float) -> DrawerState:
        """Return one drawer as agreeing answers tell it; the line is held."""
        place = self._options.places[drawer]
        for question in self._questions[place.board]:
            if any(name == drawer for name, _ in question.drawers):
                states = self._note(question, await self._agreed(question, deadline))
                return states[drawer]
        raise DeviceFault(f"{self._name}: no question tells drawer {drawer}", moved=Moved.NO)

    async def _read_board(self, board: int, deadline: float) -> dict[str, DrawerState]:
        """Return the drawers of one board as agreeing answers tell them."""
        states: dict[str, DrawerState] = {}
        for question in self._questions[board]:
            async with self._turn(deadline):
                states |= self._note(question, await self._agreed(question, deadline))
        return states

    async def _meet(self, board: int) -> None:
        """Look whether a board answers; the rounds tell the rest of its drawers."""
        deadline = asyncio.get_running_loop().time() + CALL_TIMEOUT_S
        question = self._questions[board][0]
        self._note(question, await self._agreed(question, deadline, failures_max=TRIES_MAX))

    async def _agreed(
        self, question: _Question, deadline: float, *, failures_max: int = FAILURES_MAX
    ) -> Heard:
        """Ask until the same answer came often enough in a row."""
        failures = changes = streak = 0
        last = b""
        while changes < CHANGES_MAX:
            if asyncio.get_running_loop().time() >= deadline:
                raise DeviceTimeout(f"{self._name}: no agreeing answers in time")
            try:
                heard = await self._bus.status(question.request)
            except (ProtocolError, DeviceTimeout):
                failures += 1
                streak = 0
                if failures >= failures_max:
                    raise
                continue
            failures = 0
            changes += streak > 0 and heard.frame != last
            streak = streak + 1 if heard.frame == last else 1
            last = heard.frame
            if streak >= self._need:
                return heard
        raise Disagreement(f"{self._name}: answers of board {question.request.board} differ")

    def _note(self, question: _Question, heard: Heard) -> dict[str, DrawerState]:
        """Take agreeing answers for true; returns the drawers that they tell."""
        now = asyncio.get_running_loop().time()
        states = {}
        for name, at in question.drawers:
            hook = heard.status.hooks[at]
            if hook is Hook.COOLING:
                states[name] = DrawerState(name, None)
                continue
            self._book.seen(name, is_open=hook is Hook.OPEN, now=now, evidence=heard.frame.hex(" "))
            states[name] = self._book.state(name)
        return states

    # ------------------------------------------------------------ rounds

    async def _round(self) -> None:
        """Look at each board once; of the silent ones at one in turn, so that they cost little."""
        self._rounds += 1
        silent = [board for board, misses in self._misses.items() if misses >= MISSES_MAX]
        skipped = set(silent)
        if silent:
            skipped.discard(silent[self._rounds % len(silent)])
        newly: DriverError | None = None
        for board in self._options.boards:
            if board in skipped:
                continue
            try:
                await self._glance(board)
            except _NO_ANSWER as error:
                self._misses[board] += 1
                if self._misses[board] == MISSES_MAX:
                    newly = error
            else:
                self._misses[board] = 0
        if newly is not None:
            raise newly

    async def _glance(self, board: int) -> None:
        """Look at a board; what is new is believed only after agreeing answers."""
        tries = 1 if self._misses[board] >= MISSES_MAX else TRIES_MAX
        for question in self._questions[board]:
            deadline = asyncio.get_running_loop().time() + CALL_TIMEOUT_S
            async with self._turn(deadline):
                if not await self._is_as_known(question, tries):
                    self._note(question, await self._agreed(question, deadline))

    async def _is_as_known(self, question: _Question, tries: int) -> bool:
        """Ask until answered, and say whether nothing is new, alarms included."""
        for left in range(tries - 1, -1, -1):
            try:
                heard = await self._bus.status(question.request)
            except (ProtocolError, DeviceTimeout):
                if not left:
                    raise
                continue
            return all(
                heard.status.hooks[at] is Hook.CLOSED and self._book.state(name).is_open is False
                for name, at in question.drawers
            )
        return False

    # ------------------------------------------------------------ turns

    @contextlib.asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """Hold the line."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._lock.acquire()
        except TimeoutError as error:
            raise DeviceTimeout(f"{self._name}: busy with other calls") from error
        try:
            if not self._up:
                raise DeviceUnavailable(f"{self._name}: not connected")
            yield
        except LinkLost as error:
            self._up = False
            self._loss = error
            self._lost.set()
            raise
        finally:
            self._lock.release()

    async def _deliver(self) -> None:
        await self._delivery.empty(self._book.outbox)
