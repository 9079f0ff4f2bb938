"""The people of the test pharmacy: they look at what really lies in the tray and act on it."""

import asyncio
import random
from collections import Counter as Tally
from dataclasses import dataclass, field

from dispensed.errors import Conflict, DeviceProblem
from dispensed.ledger import dispenses, picking
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import BlockedLot
from dispensed.model.catalog import Item
from dispensed.model.dispensing import DispenseState
from dispensed.services import dispensing, releasing
from dispensed.services.releasing import LabelInDoubt
from simulators.packml_model import CounterModel
from tests.system.shop import Shop

TOP_UPS = 3
PATIENCE_S = 2.0
"""How long the machines may try to tell before a person counts."""


@dataclass
class People:
    """Technicians and pharmacists; `tally` says what they met."""

    shop: Shop
    items: dict[str, Item]
    rng: random.Random
    tally: Tally[str] = field(default_factory=Tally)
    topped_up: Tally[int] = field(default_factory=Tally)
    doubtful_since: dict[int, float] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)
    weighing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def truth(self, dispense_id: int) -> int:
        """What really lies in the tray, in thousandths: hand counts are always right."""
        stage = self.shop.stage
        packs = sum(self.items[each].pack_milli for each in stage.packs_in_tray(dispense_id))
        return stage.pieces_in_tray(dispense_id) * 1000 + packs

    async def look_after(self, row: DispenseRow) -> None:
        """Do the next thing for one dispense; refusals that the day brings are counted."""
        try:
            match row.state:
                case DispenseState.COMMANDED if row.device_id is None:
                    await self._count_by_hand(row)
                case DispenseState.COUNTED:
                    await self._check(row)
                case DispenseState.VERIFIED:
                    await self._hand_out(row)
                case DispenseState.IN_DOUBT:
                    await self._decide(row)
                case _:
                    pass
        except (Conflict, DeviceProblem) as refused:
            self.tally[f"refused:{refused.code}"] += 1
            self.refusals[row.id] = str(refused)

    async def _count_by_hand(self, row: DispenseRow) -> None:
        amount = f"{row.milli // 1000}.{row.milli % 1000:03d}"
        await dispensing.count_by_hand(self.shop.site, row.id, amount, "tech", "counted by hand")
        self.tally["by_hand"] += 1

    async def _check(self, row: DispenseRow) -> None:
        site = self.shop.site
        counted = row.counted_milli or 0
        if counted > row.milli:
            self.tally["over"] += 1
            await self._void(row, "more than ordered")
            return
        if counted < row.milli:
            await self._short(row)
            return
        try:
            await self._weigh_if_counted(row)
            await dispensing.verify(site, row.id, "pharmacist")
        except BlockedLot:
            self.tally["blocked"] += 1
            await self._void(row, "a lot in it was stopped")
            return
        except dispensing.NotWeighed:
            self.tally["miscount_found"] += 1
            pieces = self.truth(row.id) // 1000
            await dispensing.count_by_hand(site, row.id, str(pieces), "tech", "recount")
            return
        await self._hand_out(row)

    async def _short(self, row: DispenseRow) -> None:
        self.topped_up[row.id] += 1
        if self.topped_up[row.id] > TOP_UPS:
            await self._void(row, "cannot be completed")
            return
        self.tally["topped_up"] += 1
        after = await dispensing.top_up(self.shop.site, row.id, "tech")
        if after.state is DispenseState.COMMANDED and after.device_id is None:
            amount = f"{after.milli // 1000}.{after.milli % 1000:03d}"
            await dispensing.count_by_hand(self.shop.site, row.id, amount, "tech", "topped up")

    async def _weigh_if_counted(self, row: DispenseRow) -> None:
        item = self.items[row.item_id]
        parts = await self.shop.site.store.read(lambda tx: picking.picked(tx, row.id))
        sealed = all(part.source == "robot1" for part in parts)
        if sealed or item.piece_weight_ug is None or row.weigh_result is not None:
            return
        really = self.truth(row.id) if row.device_id == "counter1" else row.milli
        async with self.weighing:
            self.shop.stage.scale.set(
                "load_g", f"{really // 1000 * item.piece_weight_ug / 1e6:.6f}"
            )
            try:
                await dispensing.weigh(self.shop.site, row.id, "tech")
            finally:
                self.shop.stage.scale.set("load_g", "0")
        self.tally["weighed"] += 1

    async def _void(self, row: DispenseRow, reason: str) -> None:
        self.tally["voided"] += 1
        await dispensing.void(self.shop.site, row.id, reason, "tech")

    async def _hand_out(self, row: DispenseRow) -> None:
        site = self.shop.site
        try:
            await releasing.release(site, row.id, "pharmacist")
        except BlockedLot:
            self.tally["blocked"] += 1
            await self._void(row, "a lot in it was stopped")
            return
        except LabelInDoubt:
            self.tally["reprinted"] += 1
            await releasing.release(site, row.id, "pharmacist", reprint="no label came out")
        self.tally["settled"] += 1

    async def _decide(self, row: DispenseRow) -> None:
        """Give the machine some chances to tell; then count what lies in the tray."""
        now = asyncio.get_running_loop().time()
        if now - self.doubtful_since.setdefault(row.id, now) < PATIENCE_S:
            return
        if row.device_id is not None and not self.shop.fleet.is_up(row.device_id):
            return
        amount = self.truth(row.id)
        await dispensing.count_by_hand(
            self.shop.site, row.id, f"{amount // 1000}", "tech", "the machine could not tell"
        )
        self.tally["counted_after_doubt"] += 1

    async def work(self, shift: asyncio.Event) -> None:
        """Look after everything that waits for a person, until the shift is over."""
        busy: set[int] = set()

        async def serve(row: DispenseRow) -> None:
            try:
                await self.look_after(row)
            finally:
                busy.discard(row.id)

        async with asyncio.TaskGroup() as group:
            while not shift.is_set():
                for row in await self.shop.site.store.read(_waiting):
                    if row.id not in busy:
                        busy.add(row.id)
                        group.create_task(serve(row))
                await self.shop.something_changes()
                help_machines(self.shop)


def _waiting(tx: Tx) -> tuple[DispenseRow, ...]:
    """Return what a person can do something about."""
    states = (
        DispenseState.COMMANDED,
        DispenseState.COUNTED,
        DispenseState.VERIFIED,
        DispenseState.IN_DOUBT,
    )
    rows = dispenses.in_states(tx, states)
    return tuple(r for r in rows if r.state is not DispenseState.COMMANDED or r.device_id is None)


def help_machines(shop: Shop) -> None:
    """Do what a technician does at the machines: new paper, clear an aborted counter.

    A jam is cleared and the job goes on. A counter that ran empty is filled up for two jobs of
    three; the third runs out of time and ends short.
    """
    shop.stage.printer.set("paper", "1000")
    counter: CounterModel = shop.stage.counter
    match counter.current.name:
        case "ABORTED":
            counter.command("Clear")
        case "HELD":
            counter.command("Unhold")
        case "SUSPENDED" if sum(counter.fallen.values()) % 3:
            counter.command("Unsuspend")
