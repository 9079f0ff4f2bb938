"""Records of discrepancies: one per lot and place, who touched it since, and what resolves it."""

from datetime import timedelta

import pytest

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import catalog, discrepancies, read
from dispensed.ledger.cases import CaseClosed, UnknownReason
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.journal import Cell
from dispensed.ledger.post import AlreadyReversed, UnknownMovement
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import Location, LocationKind
from dispensed.services import discrepancies as services
from dispensed.services import drawers, reconciling
from dispensed.services.discrepancies import OwnAccess, Resolution, StillDiffers
from drivers.facts import Pack
from tests.ledger.book import CONTROLLED, FILL, ITEM, LATE_LOT, LOT, ROBOT, SHELF, SHELF2, STAMP, K
from tests.system.count_bench import Pharmacy, open_pharmacy

ON_SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
"""What asks nothing new of the database is tried on one of them."""


@pytest.fixture
def shop(store: Store) -> Pharmacy:
    return open_pharmacy(store)


def holds(shop: Pharmacy, packs: int) -> None:
    """Let the robot hold so many packs of 30."""
    shop.machines.robot.packs = [Pack(f"p{n}", ITEM, LOT, None) for n in range(packs)]


# ---------------------------------------------------------------- one record


@ON_SQLITE
async def test_9_a_snapshot_that_differs_has_exactly_one_record_of_exactly_that_size(
    shop: Pharmacy,
) -> None:
    for packs, size in ((2, -30_000), (5, 60_000), (2, -30_000)):
        holds(shop, packs)
        await reconciling.reconcile(shop.site, ROBOT)
        assert [row.difference for row in await shop.cases()] == [size]
    holds(shop, 3)
    await reconciling.reconcile(shop.site, ROBOT)
    assert await shop.cases() == ()
    (closed,) = await shop.cases("closed")
    assert (closed.reason_code, closed.reason, closed.closed_by) == (
        "agrees_again",
        "found and book agree again",
        "reconcile",
    )
    holds(shop, 2)
    await reconciling.reconcile(shop.site, ROBOT)
    assert [row.id for row in await shop.cases()] == [closed.id + 1]


async def test_9_all_causes_of_a_lot_at_a_place_are_one_record_of_the_measured_size(
    shop: Pharmacy,
) -> None:
    await shop.differ(-2_000)

    def more(tx: Tx) -> None:
        for kind, place, size in (
            ("unreceived_input", ROBOT, 30_000),
            ("count", ROBOT, -1_000),
            ("weight:7", FILL, 1_000),
        ):
            discrepancies.add(
                tx,
                kind=kind,
                item_id=ITEM,
                lot=LOT,
                location_id=place,
                change=size,
                detail=kind,
                stamp=STAMP,
            )

    await shop.site.store.write(more)
    robot, fill = await shop.cases()
    assert (robot.difference, robot.unexplained, len(robot.causes)) == (-2_000, 30_000, 3)
    assert (fill.difference, fill.location_id) == (1_000, FILL)
    await shop.differ(0)
    robot, _ = await shop.cases()
    assert (robot.difference, robot.detail) == (-1_000, "unreceived_input; count")
    assert [row.id for row in await services.discrepancies(shop.site, location_id=FILL)] == [
        fill.id
    ]
    assert await services.discrepancies(shop.site, item_id=CONTROLLED) == ()
    with pytest.raises(Invalid, match="not one of open, closed"):
        await services.discrepancies(shop.site, state="lost")


@ON_SQLITE
async def test_a_record_closes_with_the_last_of_its_causes(shop: Pharmacy) -> None:
    await shop.differ(-2_000)
    await shop.differ(-1_000, item_id=CONTROLLED)

    def more(tx: Tx) -> None:
        for item_id in (ITEM, CONTROLLED):
            discrepancies.set_difference(
                tx,
                kind="count",
                item_id=item_id,
                lot=LOT,
                location_id=ROBOT,
                difference=1_000,
                detail="counted",
                stamp=STAMP,
            )
        number, _ = discrepancies.case_of(tx, "snapshot", Cell(ITEM, LOT, ROBOT))
        discrepancies.close(tx, number, STAMP)

    await shop.site.store.write(more)
    plain, _ = await shop.cases()
    assert [cause.state for cause in plain.causes] == ["closed", "open"]
    closed = await services.close(shop.site, plain.id, "looked", "ann")
    assert (closed.state, [cause.state for cause in closed.causes]) == ("closed", ["closed"] * 2)
    with pytest.raises(NotFound, match="no open snapshot discrepancy"):
        await shop.site.store.read(
            lambda tx: discrepancies.case_of(tx, "snapshot", Cell(ITEM, LOT, ROBOT))
        )
    with pytest.raises(NotFound, match="no discrepancy 99"):
        await services.discrepancy(shop.site, 99)


@ON_SQLITE
async def test_a_record_has_an_owner_and_a_due_time(shop: Pharmacy) -> None:
    await shop.differ(-2_000)
    (row,) = await shop.cases()
    assert (row.owner, row.due_at - row.opened_at) == ("", timedelta(hours=72))
    due_at = shop.clock.at + timedelta(hours=4)
    detail = await services.assign(shop.site, row.id, "ann", "manager", due_at=due_at)
    assert (detail.row.owner, detail.row.due_at) == ("ann", due_at)
    detail = await services.assign(shop.site, row.id, "bob", "manager")
    assert (detail.row.owner, detail.row.due_at) == ("bob", due_at)


# ---------------------------------------------------------------- accesses


async def test_every_access_since_the_last_agreement_is_told(shop: Pharmacy) -> None:
    place = Location("drawers1/0.1", LocationKind.BIN)
    await shop.site.store.write(lambda tx: catalog.put_location(tx, place, STAMP))
    await shop.move(K.TRANSFER, SHELF, "drawers1/0.1", 20, actor="long ago")
    shop.later()
    task = await shop.ask(location_id="drawers1/0.1")
    shop.later()
    await shop.tell(task, "20", actor="ann")
    shop.later()
    asked = drawers.Asked("drawers1", "0.1", "open-1", "bob", "restock")
    await drawers.open_drawer(shop.site, asked)

    def seen(tx: Tx) -> None:
        for drawer in ("0.1", "0.2"):
            stamp = Stamp("device:drawers1", shop.clock.at)
            audit(tx, stamp, "drawer.seen_open", f"drawer drawers1/{drawer}", {})

    await shop.site.store.write(seen)
    shop.later()
    moved = await shop.move(K.TRANSFER, "drawers1/0.1", SHELF, 1, actor="cy")
    await shop.move(K.TRANSFER, SHELF, SHELF2, 1, actor="elsewhere")
    shop.later()
    await shop.differ(-1_000, place="drawers1/0.1")
    (row,) = await shop.cases()
    detail = await services.discrepancy(shop.site, row.id)
    assert detail.agreed is not None
    assert (detail.agreed.how, detail.agreed.ref) == ("count", task)
    assert [(each.kind, each.actor, each.text) for each in detail.accesses] == [
        ("count", "ann", "hand, round 1"),
        ("drawer", "bob", "drawer.asked 0.1"),
        ("drawer", "bob", "drawer.opened 0.1"),
        ("drawer", "device:drawers1", "drawer.seen_open 0.1"),
        ("movement", "cy", f"transfer drawers1/0.1 to {SHELF}"),
    ]
    assert detail.accesses[-1].ref == moved


@ON_SQLITE
async def test_a_device_that_was_compared_and_agreed_begins_the_accesses(shop: Pharmacy) -> None:
    holds(shop, 3)
    await reconciling.reconcile(shop.site, ROBOT)
    shop.later()
    await shop.move(K.LOAD, SHELF, ROBOT, 30, actor="ann")
    shop.later()
    await reconciling.reconcile(shop.site, ROBOT)
    (row,) = await shop.cases()
    detail = await services.discrepancy(shop.site, row.id)
    assert detail.agreed is not None
    assert detail.agreed.how == "snapshot"
    assert [(each.actor, each.is_person) for each in detail.accesses] == [("ann", True)]


# ---------------------------------------------------------------- resolution


@ON_SQLITE
async def test_a_difference_is_corrected_by_exactly_that_movement(shop: Pharmacy) -> None:
    holds(shop, 2)
    await reconciling.reconcile(shop.site, ROBOT)
    (row,) = await shop.cases()
    how = Resolution("miscounted", "a pack was never there", correct=True)
    detail = await services.resolve(shop.site, row.id, how, "ann")
    (move,) = detail.movements
    assert (move.kind, move.source, move.milli) == ("loss", ROBOT, 30_000)
    assert (detail.row.state, detail.row.reason_code, detail.row.closed_by) == (
        "closed",
        "miscounted",
        "ann",
    )
    await reconciling.reconcile(shop.site, ROBOT)
    assert await shop.cases() == ()
    with pytest.raises(CaseClosed, match="was closed by ann"):
        await services.resolve(shop.site, row.id, how, "bob")
    with pytest.raises(CaseClosed):
        await services.assign(shop.site, row.id, "bob", "manager")


async def test_a_movement_that_was_recorded_wrongly_is_reversed(shop: Pharmacy) -> None:
    wrong = await shop.move(K.TRANSFER, SHELF, SHELF2, 10)
    await shop.differ(10_000, place=SHELF)
    (row,) = await shop.cases()
    other = await shop.move(K.TRANSFER, SHELF, SHELF2, 4)
    with pytest.raises(StillDiffers, match="would leave 6 EA"):
        await services.resolve(
            shop.site, row.id, Resolution("not_recorded", "r", reverses=other), "ann"
        )
    how = Resolution("not_recorded", "it went nowhere", reverses=wrong)
    detail = await services.resolve(shop.site, row.id, how, "ann")
    assert [(m.kind, m.reverses) for m in detail.movements] == [("reversal", wrong)]
    assert await shop.on_hand() == 96
    await shop.differ(10_000, place=SHELF)
    (row,) = await shop.cases()
    with pytest.raises(AlreadyReversed):
        await services.resolve(shop.site, row.id, how, "ann")


@ON_SQLITE
async def test_a_movement_that_was_posted_meanwhile_is_named_once(shop: Pharmacy) -> None:
    await shop.differ(-4_000, item_id=CONTROLLED, place=SHELF)
    moved = await shop.move(K.TRANSFER, SHELF, SHELF2, 4, item_id=CONTROLLED, actor="ann")
    (row,) = await shop.cases()
    how = Resolution("not_recorded", "it lay on the other shelf", movement_id=moved)
    with pytest.raises(OwnAccess):
        await services.resolve(shop.site, row.id, how, "ann")
    detail = await services.resolve(shop.site, row.id, how, "bob")
    assert [m.id for m in detail.movements] == [moved]
    await shop.differ(-4_000, item_id=CONTROLLED, place=SHELF)
    (row,) = await shop.cases()
    with pytest.raises(Conflict, match=f"movement {moved} resolves discrepancy"):
        await services.resolve(shop.site, row.id, how, "bob")


@ON_SQLITE
async def test_a_resolution_must_be_about_the_lot_and_the_place(shop: Pharmacy) -> None:
    elsewhere = await shop.move(K.PICK, SHELF, FILL, 1)
    await shop.differ(-2_000)
    (row,) = await shop.cases()
    for how, error in (
        (Resolution("other", "r", movement_id=elsewhere), Invalid),
        (Resolution("other", "r", reverses=elsewhere), Invalid),
        (Resolution("other", "r", movement_id=999), UnknownMovement),
        (Resolution("other", "r", correct=True, movement_id=elsewhere), Invalid),
        (Resolution("nonsense", "r"), UnknownReason),
        (Resolution("agrees_again", "r"), UnknownReason),
        (Resolution("other", " "), Invalid),
    ):
        with pytest.raises(error):
            await services.resolve(shop.site, row.id, how, "ann")
    closed = await services.close(shop.site, row.id, "looked for and let be", "ann")
    assert (closed.reason_code, closed.size) == ("other", -2_000)


@ON_SQLITE
async def test_nothing_is_corrected_where_nothing_was_measured(shop: Pharmacy) -> None:
    await shop.site.store.write(
        lambda tx: discrepancies.add(
            tx,
            kind="unordered_output",
            item_id=ITEM,
            lot=LATE_LOT,
            location_id=FILL,
            change=30_000,
            detail="a pack came out",
            stamp=STAMP,
        )
    )
    (row,) = await shop.cases()
    assert (row.difference, row.size) == (0, 30_000)
    with pytest.raises(Invalid, match="nothing to correct"):
        await services.resolve(shop.site, row.id, Resolution("other", "r", correct=True), "ann")


async def test_9_that_of_a_controlled_drug_closes_only_by_another_person_with_a_code(
    shop: Pharmacy,
) -> None:
    await shop.move(K.TRANSFER, SHELF, SHELF2, 5, item_id=CONTROLLED, actor="ann")
    shop.later()
    await shop.differ(-1_000, item_id=CONTROLLED, place=SHELF)
    (row,) = await shop.cases()
    with pytest.raises(UnknownReason, match="needs a reason code"):
        await services.close(shop.site, row.id, "let be", "bob")
    with pytest.raises(StillDiffers, match="would leave -1 EA"):
        await services.close(shop.site, row.id, "let be", "bob", reason_code="other")
    with pytest.raises(OwnAccess, match="ann had the last access"):
        await services.close(shop.site, row.id, "let be", "ann", reason_code="other")
    await shop.differ(0, item_id=CONTROLLED, place=SHELF)
    (row,) = await shop.cases()
    assert (row.difference, row.state) == (0, "open")
    with pytest.raises(OwnAccess):
        await services.close(shop.site, row.id, "found it", "ann", reason_code="misplaced")
    closed = await services.close(
        shop.site, row.id, "found under the tray", "bob", reason_code="misplaced"
    )
    assert (closed.state, closed.closed_by) == ("closed", "bob")
    codes = await services.reasons(shop.site)
    assert {row.code for row in codes} >= {"misplaced", "theft_or_loss", "unexplained"}


@ON_SQLITE
async def test_a_controlled_drug_is_corrected_by_another_person(shop: Pharmacy) -> None:
    await shop.differ(-1_000, item_id=CONTROLLED, place=SHELF)
    (row,) = await shop.cases()
    how = Resolution("theft_or_loss", "reported", correct=True)
    detail = await services.resolve(shop.site, row.id, how, "bob")
    assert [m.milli for m in detail.movements] == [1_000]
    assert await shop.on_hand(CONTROLLED) == 99
    book = await shop.site.store.read(lambda tx: read.book_of(tx, "ext:loss"))
    assert book == {(CONTROLLED, LOT): 1_000}
