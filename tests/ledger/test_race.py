"""Many writers at once: nothing is sold twice, by one store or by many on one database."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from dispensed.ledger import audit, post, read
from dispensed.ledger.engine import Store, upgrade
from dispensed.ledger.post import InsufficientStock
from tests.ledger.book import FILL, ITEM, LOT, SHELF, STAMP, TODAY, K, move, stocked

THREADS = 32


def _take_one(store: Store, request_id: str) -> bool:
    wanted = move(K.PICK, SHELF, FILL, 1, request_id)
    try:
        store.write_sync(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY))
    except InsufficientStock:
        return False
    return True


def _race(stores: list[Store]) -> int:
    """Let 32 threads ask for 7 pieces each, 224 in all, and return how many they got."""
    start = threading.Barrier(THREADS)

    def work(number: int) -> int:
        start.wait()
        store = stores[number % len(stores)]
        return sum(_take_one(store, f"{number}-{each}") for each in range(7))

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(work, range(THREADS)))


def _check_all_moved(store: Store) -> None:
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF)) == {}
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 100_000}
    assert len(store.read_sync(lambda tx: read.movements(tx, limit=1000))) == 101
    assert store.read_sync(audit.verify).ok


def test_2_thirty_two_threads_racing_for_the_last_100_move_exactly_100(store: Store) -> None:
    store.write_sync(stocked)
    assert _race([store]) == 100
    _check_all_moved(store)


def test_2_eight_stores_on_one_database_move_exactly_100(ledger_url: str) -> None:
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(ledger_url, readers=1)) for _ in range(8)]
        stores[0].write_sync(stocked)
        assert _race(stores) == 100
        _check_all_moved(stores[0])


def test_the_same_request_from_thirty_two_threads_is_booked_once(store: Store) -> None:
    store.write_sync(stocked)
    wanted = move(K.PICK, SHELF, FILL, 1, "same")

    def work(_: int) -> int:
        return store.write_sync(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY)).movement_id

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(work, range(THREADS))) == {2}
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 1000}


def test_two_processes_that_upgrade_at_once_make_one_schema(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=upgrade, args=(empty_url,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    Store.open(empty_url).close()
