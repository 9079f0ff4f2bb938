"""Dispenses, messages, discrepancies, recalls, orders, tokens, runs and flags as rows."""

from datetime import date, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from dispensed.errors import Invalid, NotFound
from dispensed.ledger import (
    catalog,
    counts,
    discrepancies,
    dispenses,
    expiry,
    inbox,
    jobs,
    post,
    read,
    recalls,
    receipts,
    reorder,
    tokens,
)
from dispensed.ledger import tables as t
from dispensed.ledger.counts import Counts
from dispensed.ledger.dispenses import DispenseRow, NewDispense, OrderExists, Unverified
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.rules import UnknownMessage
from dispensed.ledger.stamp import Stamp
from dispensed.model.catalog import LotState
from dispensed.model.dispensing import (
    AlreadySettled,
    CountDiffers,
    DispenseState,
    IllegalTransition,
)
from dispensed.model.planning import PolicyKind, ReorderPolicy
from tests.ledger.book import (
    CONTROLLED,
    FILL,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    RECEIVING,
    ROBOT,
    SHELF,
    STAMP,
    TODAY,
    K,
    furnish,
    move,
    order,
    put_lot,
    stocked,
)

LATER = Stamp("pat", NOW + timedelta(hours=1), "looked again")
S = DispenseState


@pytest.fixture
def shop(store: Store) -> Store:
    """A store with 100 pieces on the shelf."""
    store.write_sync(stocked)
    return store


# ---------------------------------------------------------------- dispenses


def _new(**changed: object) -> NewDispense:
    values: dict[str, object] = {
        "order_ref": "rx1",
        "request_id": "q1",
        "item_id": ITEM,
        "milli": 30_000,
        "patient_key": "p-1",
        "priority": 5,
        "route": "auto",
    }
    return NewDispense(**{**values, **changed})  # type: ignore[arg-type] # a table of defaults


def _create(store: Store, new: NewDispense) -> DispenseRow:
    return store.write_sync(lambda tx: dispenses.create(tx, new, STAMP))


def _set(store: Store, to: DispenseState, **fields: str | int | None) -> DispenseRow:
    return store.write_sync(lambda tx: dispenses.set_state(tx, 1, to, LATER, **fields))


def test_an_order_is_recorded_once_and_its_reference_belongs_to_it(shop: Store) -> None:
    first = _create(shop, _new())
    assert (first.id, first.state, first.name, first.unit) == (1, S.REQUESTED, "Atorvastatin", "EA")
    assert _create(shop, _new()) == first
    for other in (_new(milli=60_000), _new(request_id="q2"), _new(order_ref="rx2")):
        with pytest.raises(OrderExists, match="dispense 1 has order rx1 of request q1"):
            _create(shop, other)


def test_a_dispense_that_is_not_there_is_told(shop: Store) -> None:
    with pytest.raises(NotFound, match="no dispense 9"):
        shop.read_sync(lambda tx: dispenses.get(tx, 9))
    assert shop.read_sync(lambda tx: dispenses.find(tx, 9)) is None


def test_a_dispense_lives_along_its_states_and_ends(shop: Store) -> None:
    _create(shop, _new())
    with pytest.raises(IllegalTransition):
        _set(shop, S.SETTLED)
    _set(shop, S.RESERVED)
    _set(shop, S.COMMANDED, device_id="counter1")
    wanted = move(K.PICK, SHELF, FILL, 30, "p", dispense_id=1)
    shop.write_sync(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY))
    _set(shop, S.COUNTED, counted_milli=30_000)
    with pytest.raises(Unverified, match="nobody is named"):
        _set(shop, S.VERIFIED)
    row = _set(shop, S.VERIFIED, verified_by="pat")
    assert (row.verified_by, row.device_id, row.updated_at) == ("pat", "counter1", LATER.at)
    _set(shop, S.SETTLED)
    with pytest.raises(AlreadySettled):
        _set(shop, S.VOIDED)


def test_12_a_count_that_differs_from_the_order_is_never_verified(shop: Store) -> None:
    _create(shop, _new())
    for state in (S.RESERVED, S.COMMANDED):
        _set(shop, state)
    _set(shop, S.COUNTED, counted_milli=29_000)
    with pytest.raises(CountDiffers, match="29 counted, 30 ordered"):
        _set(shop, S.VERIFIED, verified_by="pat")
    with pytest.raises(CountDiffers):
        _set(shop, S.VERIFIED, verified_by="pat", counted_milli=None)


def test_12_a_fill_whose_tray_changed_after_verification_is_not_settled(shop: Store) -> None:
    _create(shop, _new())
    for state in (S.RESERVED, S.COMMANDED):
        _set(shop, state)
    _set(shop, S.COUNTED, counted_milli=30_000)
    _set(shop, S.VERIFIED, verified_by="pat")
    with pytest.raises(CountDiffers, match="0 counted, 30 ordered"):
        _set(shop, S.SETTLED)


def test_fields_change_without_the_state_and_only_when_they_differ(shop: Store) -> None:
    _create(shop, _new())

    def update(**fields: str | int | None) -> DispenseRow:
        return shop.write_sync(lambda tx: dispenses.update_fields(tx, 1, LATER, **fields))

    assert update(note="").updated_at == NOW
    assert update(note="short").updated_at == LATER.at
    assert update(weigh_result="agrees:30:30").weigh_result == "agrees:30:30"
    verbs = select(t.audit_event.c.verb).where(t.audit_event.c.subject == "dispense 1")
    assert shop.read_sync(lambda tx: tx.scalars(verbs).all()) == ["requested", "updated"]


def test_devices_with_a_dispense_in_doubt_are_told(shop: Store) -> None:
    _create(shop, _new())
    for state in (S.RESERVED, S.COMMANDED, S.IN_DOUBT):
        _set(shop, state, device_id="robot1")
    assert shop.read_sync(dispenses.devices_in_doubt) == {"robot1"}
    assert shop.read_sync(counts.unfinished_dispenses) == {"in_doubt": 1}


def test_dispenses_are_listed_by_state_age_and_urgency(shop: Store) -> None:
    for number, priority in ((1, 5), (2, 9), (3, 5), (4, 5)):
        new = _new(order_ref=f"rx{number}", request_id=f"q{number}", priority=priority)
        _create(shop, new)

    def advance(tx: Tx) -> None:
        for dispense_id, device in ((3, "robot1"), (4, None)):
            dispenses.set_state(tx, dispense_id, S.RESERVED, STAMP)
            dispenses.set_state(tx, dispense_id, S.COMMANDED, STAMP, device_id=device)
            dispenses.set_state(tx, dispense_id, S.IN_DOUBT, STAMP)

    shop.write_sync(advance)

    def ids(rows: tuple[DispenseRow, ...]) -> list[int]:
        return [row.id for row in rows]

    assert ids(shop.read_sync(lambda tx: dispenses.waiting(tx, 9, set()))) == [2, 1, 3]
    assert ids(shop.read_sync(lambda tx: dispenses.waiting(tx, 1, {2}))) == [1]
    assert ids(shop.read_sync(lambda tx: dispenses.in_states(tx, (S.IN_DOUBT,)))) == [3, 4]
    assert ids(shop.read_sync(lambda tx: dispenses.page(tx, after=1, limit=2))) == [2, 3]
    assert ids(shop.read_sync(lambda tx: dispenses.page(tx, state=S.REQUESTED))) == [1, 2]
    assert ids(shop.read_sync(lambda tx: dispenses.newest(tx, 2))) == [4, 3]


# ---------------------------------------------------------------- messages


def _store(store: Store, key: str, raw: bytes = b"<x/>") -> tuple[int, bool]:
    return store.write_sync(
        lambda tx: inbox.store_message(tx, "robot1", key, "OutputMessage", raw, NOW)
    )


def test_8_a_message_is_stored_once_with_the_bytes_that_came_first(store: Store) -> None:
    assert _store(store, "k1") == (1, True)
    assert _store(store, "k1", b"again") == (1, False)
    assert store.read_sync(lambda tx: inbox.find_raw(tx, "robot1", "k1")) == b"<x/>"
    assert store.read_sync(lambda tx: inbox.find_raw(tx, "robot1", "k2")) is None
    row = store.read_sync(lambda tx: inbox.get(tx, 1))
    assert (row.state, row.received_at) == ("new", NOW)
    assert row.content_hash.startswith("2a31f44d")  # sha256 of <x/>, by sha256sum
    with pytest.raises(UnknownMessage, match="no message 9"):
        store.read_sync(lambda tx: inbox.get(tx, 9))


def test_a_key_with_bytes_that_no_database_holds_is_kept_escaped(store: Store) -> None:
    key = "a\x00b\ud800c"
    assert _store(store, key) == (1, True)
    assert _store(store, key) == (1, False)
    assert store.read_sync(lambda tx: inbox.get(tx, 1)).key == "a\\x00b\\ud800c"
    assert store.read_sync(lambda tx: inbox.find_raw(tx, "robot1", key)) == b"<x/>"


def test_messages_are_dealt_with_once_and_oldest_first(store: Store) -> None:
    for key in ("k1", "k2", "k3", "k4"):
        _store(store, key)
    assert store.write_sync(lambda tx: inbox.mark_applied(tx, 1, "1 pack out"))
    assert store.write_sync(lambda tx: inbox.mark_ignored(tx, 2, "garbage"))
    assert store.write_sync(lambda tx: inbox.mark_unreadable(tx, 3, "y" * 3000))
    assert not store.write_sync(lambda tx: inbox.mark_unreadable(tx, 1, "no"))
    assert [row.id for row in store.read_sync(lambda tx: inbox.next_unapplied(tx, 9))] == [4]
    rows = store.read_sync(inbox.page)
    assert [(row.state, len(row.note)) for row in rows] == [
        ("applied", 10),
        ("ignored", 7),
        ("unreadable", 2000),
        ("new", 0),
    ]
    assert [r.id for r in store.read_sync(lambda tx: inbox.page(tx, state="new", after=1))] == [4]
    assert store.read_sync(lambda tx: inbox.last_id(tx, "robot1")) == 4
    assert store.read_sync(lambda tx: inbox.last_id(tx, "counter1")) == 0


def test_8_the_effect_of_a_message_is_claimed_once(store: Store) -> None:
    _store(store, "k1")

    def claim(device: str, key: str) -> bool:
        return store.write_sync(lambda tx: inbox.effect_once(tx, device, key, 1, STAMP))

    assert [claim("robot1", "out:7"), claim("robot1", "out:7")] == [True, False]
    assert claim("robot2", "out:7")
    known = store.read_sync(lambda tx: inbox.known_effects(tx, "robot1", ("out:7", "out:8")))
    assert known == {"out:7"}


# ---------------------------------------------------------------- discrepancies


def _differ(store: Store, difference: int, item_id: str = ITEM, detail: str = "d") -> None:
    store.write_sync(
        lambda tx: discrepancies.set_difference(
            tx,
            kind="snapshot",
            item_id=item_id,
            lot=LOT,
            location_id=ROBOT,
            difference=difference,
            detail=detail,
            stamp=STAMP,
        )
    )


def _add(store: Store, change: int, item_id: str = ITEM) -> None:
    store.write_sync(
        lambda tx: discrepancies.add(
            tx,
            kind="snapshot",
            item_id=item_id,
            lot=LOT,
            location_id=ROBOT,
            change=change,
            detail="d",
            stamp=STAMP,
        )
    )


def _open(store: Store) -> list[int]:
    return [row.difference for row in store.read_sync(discrepancies.page)]


def test_9_there_is_one_open_discrepancy_of_exactly_the_difference(shop: Store) -> None:
    _differ(shop, 0)
    assert _open(shop) == []
    for difference in (2000, 2000, -1000):
        _differ(shop, difference)
        assert _open(shop) == [difference]
    _add(shop, -500)
    assert _open(shop) == [-1500]
    assert shop.read_sync(lambda tx: discrepancies.open_lots(tx, "snapshot", ROBOT)) == {
        (ITEM, LOT)
    }
    _add(shop, 1500)
    assert _open(shop) == []
    (closed,) = shop.read_sync(lambda tx: discrepancies.page(tx, state=None))
    assert (closed.state, closed.closed_by, closed.reason) == (
        "closed",
        "tess",
        "found and book agree again",
    )
    _add(shop, 700)
    assert _open(shop) == [700]


def test_9_that_of_a_controlled_item_never_closes_by_itself(shop: Store) -> None:
    _differ(shop, 2000, CONTROLLED)
    _differ(shop, 0, CONTROLLED)
    (row,) = shop.read_sync(discrepancies.page)
    assert (row.difference, row.schedule) == (0, "CII")
    assert "a person must close it" in row.detail
    _add(shop, 300, CONTROLLED)
    assert _open(shop) == [300]
    closed = shop.write_sync(lambda tx: discrepancies.close(tx, row.id, LATER))
    assert (closed.state, closed.closed_by, closed.reason) == ("closed", "pat", "looked again")


def test_a_discrepancy_is_closed_once_and_an_unknown_one_is_told(shop: Store) -> None:
    _differ(shop, 1)
    shop.write_sync(lambda tx: discrepancies.close(tx, 1, LATER))
    with pytest.raises(discrepancies.DiscrepancyClosed, match="was closed by pat"):
        shop.write_sync(lambda tx: discrepancies.close(tx, 1, LATER))
    with pytest.raises(NotFound, match="no discrepancy 9"):
        shop.write_sync(lambda tx: discrepancies.close(tx, 9, LATER))


# ---------------------------------------------------------------- recalls


def _recall(store: Store, lot: str | None) -> recalls.RecallRow:
    return store.write_sync(
        lambda tx: recalls.open_case(
            tx, item_id=ITEM, lot=lot, recall_class="II", reference="R-1", stamp=STAMP
        )
    )


def test_14_a_recall_blocks_its_lot_at_once_and_closing_it_frees_nothing(shop: Store) -> None:
    case = _recall(shop, LOT)
    assert (case.state, case.reason, case.closed_at) == ("open", "test", None)
    states = shop.read_sync(
        lambda tx: [catalog.get_lot(tx, ITEM, lot).state for lot in (LOT, LATE_LOT)]
    )
    assert states == [LotState.RECALLED, LotState.RELEASED]
    with pytest.raises(recalls.RecallExists, match="lot A12 is open"):
        _recall(shop, LOT)
    assert _recall(shop, LATE_LOT).lot == LATE_LOT
    closed = shop.write_sync(lambda tx: recalls.close_case(tx, case.id, LATER))
    assert (closed.state, closed.closed_at) == ("closed", LATER.at)
    assert shop.read_sync(lambda tx: catalog.get_lot(tx, ITEM, LOT)).state is LotState.RECALLED
    with pytest.raises(recalls.RecallClosed):
        shop.write_sync(lambda tx: recalls.close_case(tx, case.id, LATER))
    with pytest.raises(NotFound, match="no recall 9"):
        shop.read_sync(lambda tx: recalls.get(tx, 9))


def test_14_a_recall_of_an_item_blocks_all_its_lots(shop: Store) -> None:
    _recall(shop, None)
    rows = shop.read_sync(lambda tx: read.lots(tx, on_date=TODAY))
    assert {row.state for row in rows} == {"recalled"}
    assert [row.lot for row in shop.read_sync(recalls.page)] == [None]
    assert shop.read_sync(lambda tx: recalls.page(tx, state="closed")) == ()


# ---------------------------------------------------------------- orders and receipts

POLICY = ReorderPolicy(PolicyKind.MIN_MAX, 60_000, 300_000, 30_000, 2)


def _propose(store: Store, milli: int, why: str = "{}") -> list[tuple[str, int]]:
    store.write_sync(lambda tx: reorder.set_open(tx, ITEM, RECEIVING, milli, why, STAMP))
    rows = store.read_sync(lambda tx: reorder.proposals(tx, state=None))
    return [(row.state, row.milli) for row in rows]


def set_policy(tx: Tx, policy: ReorderPolicy) -> None:
    reorder.put_policy(tx, ITEM, RECEIVING, policy, STAMP)


def test_a_policy_is_kept_whole_and_replaced(shop: Store) -> None:
    for policy in (ReorderPolicy(PolicyKind.PAR, 5000, 5000, 1000), POLICY):
        shop.write_sync(partial(set_policy, policy=policy))
    (row,) = shop.read_sync(reorder.policies)
    assert (row.item_id, row.location_id, row.policy) == (ITEM, RECEIVING, POLICY)


def test_17_there_is_one_open_proposal_of_exactly_what_is_needed(shop: Store) -> None:
    assert _propose(shop, 0) == []
    assert _propose(shop, 90_000) == [("open", 90_000)]
    assert _propose(shop, 90_000) == [("open", 90_000)]
    assert _propose(shop, 120_000) == [("open", 120_000)]
    assert _propose(shop, 0) == [("cancelled", 120_000)]
    assert _propose(shop, 30_000) == [("cancelled", 120_000), ("open", 30_000)]


def _decide(store: Store, number: int, state: str) -> reorder.ProposalRow:
    return store.write_sync(lambda tx: reorder.decide(tx, number, state, LATER))


def test_a_proposal_is_decided_once(shop: Store) -> None:
    _propose(shop, 90_000)
    assert _decide(shop, 1, "approved").state == "approved"
    with pytest.raises(reorder.ProposalDecided, match="is approved by pat"):
        _decide(shop, 1, "cancelled")
    with pytest.raises(NotFound, match="no proposal 9"):
        _decide(shop, 9, "approved")


def _receive(store: Store, units: int, name: str, kind: K = K.RECEIVE) -> receipts.ReceiptRow:
    source = "ext:supplier" if kind is K.RECEIVE else "ext:opening"

    def write(tx: Tx) -> receipts.ReceiptRow:
        posted = post.post(tx, move(kind, source, RECEIVING, units, name), STAMP, on_date=TODAY)
        return receipts.record(tx, posted, order_ref="PO-1", scan="", stamp=STAMP)

    return store.write_sync(write)


def test_17_what_is_on_order_shrinks_as_it_arrives(shop: Store) -> None:
    for number in (1, 2):
        _propose(shop, 60_000 * number)
        _decide(shop, number, "approved")
    shop.write_sync(lambda tx: order(tx, units=7))

    def position() -> tuple[int, int, int]:
        numbers = shop.read_sync(lambda tx: reorder.position(tx, ITEM, RECEIVING, TODAY))
        return numbers.usable, numbers.on_order, numbers.owed

    assert position() == (100_000, 180_000, 7000)
    _receive(shop, 10, "opening", K.OPENING)
    assert position() == (110_000, 180_000, 7000)
    _receive(shop, 40, "r0")
    assert position() == (150_000, 140_000, 7000)
    _receive(shop, 50, "r1")
    assert position() == (200_000, 90_000, 7000)
    _receive(shop, 10, "r2")
    _receive(shop, 80, "r3")
    _receive(shop, 420, "r4")
    assert position() == (710_000, 0, 7000)
    rows = shop.read_sync(lambda tx: reorder.proposals(tx, state=None))
    assert [(row.state, row.received_milli) for row in rows] == [
        ("received", 60_000),
        ("received", 120_000),
    ]


def test_17_blocked_and_held_stock_and_that_in_the_tray_does_not_count(shop: Store) -> None:
    def setting(tx: Tx) -> None:
        post.post(tx, move(K.PICK, SHELF, FILL, 10, "p"), STAMP, on_date=TODAY)
        put_lot(tx, "H1", date(2027, 1, 31), state=LotState.HOLD)
        blocked = move(K.OPENING, "ext:opening", SHELF, 50, "h", lot="H1")
        post.post(tx, blocked, STAMP, on_date=TODAY)
        post.reserve(
            tx,
            dispense_id=order(tx),
            item_id=ITEM,
            lot=LOT,
            location=SHELF,
            milli=30_000,
            request_id="r",
            stamp=STAMP,
            on_date=TODAY,
        )

    shop.write_sync(setting)
    numbers = shop.read_sync(lambda tx: reorder.position(tx, ITEM, RECEIVING, TODAY))
    assert numbers.usable == 60_000
    late = shop.read_sync(lambda tx: reorder.position(tx, ITEM, RECEIVING, date(2027, 4, 1)))
    assert late.usable == 0


def test_a_receipt_is_recorded_once(shop: Store) -> None:
    first = _receive(shop, 30, "r1")
    again = _receive(shop, 30, "r1")
    assert (first.milli, first.location_id, first.expiry) == (
        30_000,
        RECEIVING,
        date(2027, 3, 31),
    )
    assert (again.id, again.repeated, first.repeated) == (first.id, True, False)
    assert [row.id for row in shop.read_sync(receipts.page)] == [first.id]


# ---------------------------------------------------------------- tokens, runs, flags


def test_a_token_is_known_by_its_secret_until_it_is_revoked(store: Store) -> None:
    secret = store.write_sync(lambda tx: tokens.create(tx, "till", "pharmacist", STAMP))
    found = store.read_sync(lambda tx: tokens.find(tx, secret))
    assert found is not None
    assert (found.name, found.role, found.revoked_at) == ("till", "pharmacist", None)
    kept = store.read_sync(lambda tx: tx.execute(select(t.api_token)).one())
    assert secret not in str(kept)
    assert store.read_sync(lambda tx: tokens.find(tx, secret + "x")) is None
    with pytest.raises(tokens.TokenExists):
        store.write_sync(lambda tx: tokens.create(tx, "till", "viewer", STAMP))
    store.write_sync(lambda tx: tokens.revoke(tx, "till", LATER))
    assert store.read_sync(lambda tx: tokens.find(tx, secret)) is None
    assert [row.revoked_at for row in store.read_sync(tokens.page)] == [LATER.at]
    with pytest.raises(NotFound, match="no token named till"):
        store.write_sync(lambda tx: tokens.revoke(tx, "till", LATER))


@pytest.mark.parametrize(("name", "role"), [("x", "king"), ("", "viewer"), ("y" * 65, "viewer")])
def test_a_token_without_a_name_or_a_known_role_is_refused(
    sqlite_url: str, name: str, role: str
) -> None:
    with Store.open(sqlite_url) as store, pytest.raises(Invalid):
        store.write_sync(lambda tx: tokens.create(tx, name, role, STAMP))


def test_17_a_slot_of_a_job_is_taken_once(store: Store) -> None:
    def begin(slot: str) -> bool:
        return store.write_sync(lambda tx: jobs.begin(tx, "reorder", slot, NOW))

    assert [begin("s1"), begin("s1"), begin("s2")] == [True, False, True]
    for slot, ok in (("s1", True), ("s2", False)):
        store.write_sync(
            partial(jobs.finish, job="reorder", slot=slot, ok=ok, result="r", at=LATER.at)
        )
    store.write_sync(lambda tx: jobs.begin(tx, "verify", "s1", LATER.at))
    rows = store.read_sync(jobs.last_runs)
    assert {(row.job, row.state) for row in rows if row.job == "verify"} == {("verify", "running")}
    assert {row.state for row in rows if row.job == "reorder"} <= {"done", "failed"}


def test_a_lot_is_flagged_once_per_place_and_tier(shop: Store) -> None:
    def flag(tier: int, place: str = SHELF) -> bool:
        return shop.write_sync(lambda tx: expiry.flag_once(tx, ITEM, LOT, place, tier, STAMP))

    assert [flag(90), flag(90), flag(60), flag(90, ROBOT)] == [True, False, True, True]


def test_totals_are_kept_up_to_date_by_what_is_new(shop: Store) -> None:
    first = shop.read_sync(lambda tx: counts.update(tx, Counts()))
    assert (first.last_movement, dict(first.movements)) == (1, {"opening": 1})
    _store(shop, "k1")
    _create(shop, _new())
    _differ(shop, 5)
    pick = move(K.PICK, SHELF, FILL, 1, "p")
    shop.write_sync(lambda tx: post.post(tx, pick, STAMP, on_date=TODAY))
    second = shop.read_sync(lambda tx: counts.update(tx, first))
    assert dict(second.movements) == {"opening": 1, "pick": 1}
    assert dict(second.messages) == {("robot1", "OutputMessage"): 1}
    assert (second.waiting, dict(second.dispenses), dict(second.discrepancies)) == (
        1,
        {"requested": 1},
        {"snapshot": 1},
    )
    assert shop.read_sync(lambda tx: counts.update(tx, second)) == second


# ---------------------------------------------------------------- queries


def test_stock_is_found_by_item_lot_and_place(shop: Store) -> None:
    def find(**wanted: str) -> list[str]:
        rows = shop.read_sync(lambda tx: read.stock(tx, on_date=TODAY, **wanted))
        return [row.location_id for row in rows]

    assert (
        find() == find(item_id=ITEM) == find(lot_number=LOT) == find(location_id=SHELF) == [SHELF]
    )
    assert find(item_id=CONTROLLED) == find(lot_number="Z") == find(location_id=ROBOT) == []


def test_lots_are_listed_by_expiry_with_the_unknown_ones(shop: Store) -> None:
    def setting(tx: Tx) -> None:
        put_lot(tx, "U1", None)
        for lot in (LATE_LOT, "U1"):
            opening = move(K.OPENING, "ext:opening", SHELF, 5, f"o{lot}", lot=lot)
            post.post(tx, opening, STAMP, on_date=TODAY)

    shop.write_sync(setting)

    def lots(on_date: date, **wanted: object) -> list[tuple[str, int, bool, bool]]:
        rows = shop.read_sync(lambda tx: read.lots(tx, on_date=on_date, **wanted))  # type: ignore[arg-type] # filters
        return [(row.lot, row.on_hand, row.expired, row.usable) for row in rows]

    assert lots(TODAY) == [
        ("U1", 5000, False, False),
        (LOT, 100_000, False, True),
        (LATE_LOT, 5000, False, True),
    ]
    assert [row[0] for row in lots(TODAY, expiring_before=date(2027, 3, 31))] == ["U1", LOT]
    assert lots(date(2027, 4, 1), item_id=ITEM)[1] == (LOT, 100_000, True, False)
    assert lots(TODAY, item_id=CONTROLLED) == []
    one = shop.read_sync(lambda tx: read.one_lot(tx, CONTROLLED, LOT, on_date=TODAY))
    assert (one.on_hand, one.usable) == (0, True)
    with pytest.raises(NotFound, match="has no lot Z"):
        shop.read_sync(lambda tx: read.one_lot(tx, ITEM, "Z", on_date=TODAY))


def test_movements_are_paged_and_filtered(shop: Store) -> None:
    def setting(tx: Tx) -> None:
        dispense_id = order(tx)
        for number in range(3):
            wanted = move(K.PICK, SHELF, FILL, 1, f"p{number}", dispense_id=dispense_id)
            post.post(tx, wanted, STAMP, on_date=TODAY)

    shop.write_sync(setting)

    def find(**wanted: object) -> list[int]:
        rows = shop.read_sync(lambda tx: read.movements(tx, **wanted))  # type: ignore[arg-type] # filters
        return [row.id for row in rows]

    assert find(limit=2) == [1, 2]
    assert find(after=2) == [3, 4]
    assert find(item_id=CONTROLLED) == []
    assert find(lot_number=LOT, location_id=FILL) == [2, 3, 4]
    assert find(dispense_id=1, after=3) == [4]


def test_what_lies_free_at_a_place_is_told(store: Store) -> None:
    store.write_sync(furnish)
    assert store.read_sync(lambda tx: read.free_milli(tx, ITEM, LOT, SHELF)) == 0
    assert store.read_sync(lambda tx: read.unbooked_milli(tx, ITEM, LOT, SHELF)) == 0
