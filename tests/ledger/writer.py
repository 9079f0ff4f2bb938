"""A program that posts moves from several threads and says each acknowledged one; to be killed."""

import os
import resource
import signal
import sys
import threading

from dispensed.ledger.engine import Store, StoreReadOnly
from tests.ledger.book import SHELF, SHELF2, K, move, posted

THREADS = 4


def _work(store: Store, run: str, number: int) -> None:
    for each in range(100_000):
        request_id = f"{run}-{number}-{each}"
        try:
            posted(store, move(K.TRANSFER, SHELF, SHELF2, 1, request_id))
        except StoreReadOnly as error:
            os.write(1, f"read-only {error}\n".encode())
            return
        os.write(1, f"ack {request_id}\n".encode())


def main(url: str, run: str, bytes_max: int) -> None:
    """Write until killed; with `bytes_max` no file may grow beyond that."""
    store = Store.open(url)
    if bytes_max:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    workers = [threading.Thread(target=_work, args=(store, run, n)) for n in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
