"""The store: one writer thread with group commit, and a pool of readers.

A write is a function of one transaction. Writes that wait at the same time share one transaction,
each in its own savepoint, and one commit; a caller has its result only after that commit. A write
function may run twice when the connection dies before the commit, so it does nothing but SQL.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from sqlalchemy import URL, Connection, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dispensed.errors import DispensedError
from dispensed.ledger import tables as t
from dispensed.ledger.checkpoint import Checkpointer
from dispensed.ledger.database import Access, in_transaction, is_broken, make_engine, store_url
from dispensed.ledger.schema import check_schema, upgrade_schema

Tx = Connection
"""One transaction of the ledger."""

T = TypeVar("T")

QUEUE_MAX = 1024
"""Writes that may wait at once; further callers wait for a place."""
BATCH_MAX = 64
"""Writes that share one commit at most."""
WAIT_MAX_S = 60
"""How long a caller waits for a place in the queue, and `write_sync` for its result."""


class StoreProblem(DispensedError):
    """The store could not do the write for reasons of its own."""

    code: ClassVar[str] = "store_problem"


class StoreReadOnly(StoreProblem):
    """The storage failed; nothing is written until the daemon is restarted on sound storage."""

    code: ClassVar[str] = "store_read_only"


class StoreUnavailable(StoreProblem):
    """The database is locked, unreachable or too slow; nothing was written, try again."""

    code: ClassVar[str] = "store_unavailable"


class OutcomeUnknown(StoreProblem):
    """The answer of a commit was lost; repeat the write with the same request id."""

    code: ClassVar[str] = "store_outcome_unknown"


class StoreClosed(StoreProblem):
    """The store was closed."""

    code: ClassVar[str] = "store_closed"


class _NoTransaction(Exception):
    """No transaction could be started; nothing was run."""


class _TransactionDied(Exception):
    """The open transaction is gone with everything in it; nothing of it was committed."""


class _Request(Protocol):
    """One waiting write, whatever it returns."""

    error: BaseException | None

    def accepted(self) -> bool:
        """Start; False when the caller has given up meanwhile."""
        ...

    def run(self, tx: Tx) -> None:
        """Run the write in a savepoint of `tx`; raises nothing."""
        ...

    def deliver(self) -> None:
        """Give the caller what the run left."""
        ...


class _Write(Generic[T]):
    """A write and its caller; as a context manager it keeps the error of its body."""

    def __init__(self, fn: Callable[[Tx], T]) -> None:
        self._fn = fn
        self._results: list[T] = []
        self.error: BaseException | None = None
        self.future: Future[T] = Future()

    def __enter__(self) -> None:
        self.error = None

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        self.error = error
        return True

    def accepted(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def run(self, tx: Tx) -> None:
        with self, tx.begin_nested():
            self._results = [self._fn(tx)]

    def deliver(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self._results[0])


class Store:
    """An open ledger. Make one with `Store.open`; safe to use from any thread."""

    def __init__(self, url: URL, *, readers: int) -> None:
        self._writer_engine = make_engine(url, Access.WRITE)
        self._reader_engine = make_engine(url, Access.READ, readers=readers)
        self._read_pool = ThreadPoolExecutor(readers, thread_name_prefix="ledger-read")
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._places = threading.Semaphore(QUEUE_MAX)
        self._gate = threading.Lock()
        self._closing = False
        self._connection: Connection | None = None
        self._read_only_reason: str | None = None
        self._checkpointer = Checkpointer(url, self._break)
        self._thread = threading.Thread(target=self._write_loop, name="ledger-write", daemon=True)

    # ------------------------------------------------------------ life

    @classmethod
    def open(cls, url: str, *, readers: int = 4) -> Self:
        """Open the ledger at `url`; raises SchemaOutdated, BadStoreUrl or StoreUnavailable."""
        store = cls(store_url(url), readers=readers)
        try:
            with _unavailable_on_error(), store._writer_engine.begin() as tx:
                check_schema(tx)
        except DispensedError:
            store._dispose()
            raise
        store._checkpointer.start()
        store._thread.start()
        return store

    def close(self) -> None:
        """Finish the writes that wait, then release everything; may be called twice."""
        with self._gate:
            if self._closing:
                return
            self._closing = True
            self._requests.put(None)
        self._thread.join(WAIT_MAX_S)
        self._checkpointer.stop()
        self._dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def read_only_reason(self) -> str | None:
        """Why nothing can be written any more; None while the store is sound."""
        return self._read_only_reason

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer_engine.dialect.name

    # ------------------------------------------------------------ use

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a transaction and return its result once that is durable.

        An exception of `fn` undoes its own changes only. Raises StoreReadOnly, StoreUnavailable,
        OutcomeUnknown or StoreClosed. A cancelled caller may still have its write done.
        """
        request = _Write(fn)
        if self._places.acquire(blocking=False):
            self._enqueue(request)
        else:
            await asyncio.to_thread(self._wait_and_enqueue, request)
        return await asyncio.wrap_future(request.future)

    def write_sync(self, fn: Callable[[Tx], T]) -> T:
        """Do the same from a thread that may block; OutcomeUnknown when it takes too long."""
        request = _Write(fn)
        self._wait_and_enqueue(request)
        try:
            return request.future.result(WAIT_MAX_S)
        except TimeoutError as error:
            if request.future.done():
                raise
            raise OutcomeUnknown(f"no answer from the ledger within {WAIT_MAX_S} s") from error

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` on one consistent snapshot in a reader thread; it cannot write."""
        return await asyncio.get_running_loop().run_in_executor(self._read_pool, self.read_sync, fn)

    def read_sync(self, fn: Callable[[Tx], T]) -> T:
        """Do the same in the calling thread."""
        try:
            with self._reader_engine.connect() as tx:
                tx.begin()  # one snapshot; it ends with a rollback, nothing was written
                return fn(tx)
        except (OperationalError, PoolTimeout) as error:
            raise StoreUnavailable(f"the ledger could not be read: {error}") from error

    # ------------------------------------------------------------ queue

    def _enqueue(self, request: _Request) -> None:
        """Put a request that has its place into the queue, or give the place back and raise."""
        with self._gate:
            if not self._closing and self._read_only_reason is None:
                self._requests.put(request)
                return
        self._places.release()
        if self._read_only_reason is not None:
            raise StoreReadOnly(self._read_only_reason)
        raise StoreClosed("the ledger is closed")

    def _wait_and_enqueue(self, request: _Request) -> None:
        if not self._places.acquire(timeout=WAIT_MAX_S):
            raise StoreUnavailable(f"{QUEUE_MAX} writes have waited for more than {WAIT_MAX_S} s")
        self._enqueue(request)

    # ------------------------------------------------------------ writer thread

    def _write_loop(self) -> None:
        running = True
        while running:
            taken, running = self._next_batch()
            batch = [request for request in taken if request.accepted()]
            if batch:
                self._do(batch)
                for request in batch:
                    request.deliver()
                self._checkpointer.written()
        self._disconnect()

    def _next_batch(self) -> tuple[list[_Request], bool]:
        """Wait for a request, then take all that wait, up to BATCH_MAX; False at the end."""
        batch: list[_Request] = []
        request = self._requests.get()
        while request is not None:
            self._places.release()
            batch.append(request)
            if len(batch) == BATCH_MAX:
                return batch, True
            try:
                request = self._requests.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _do(self, batch: Sequence[_Request]) -> None:
        """Bring every request to its outcome; one by one when together they lost it."""
        try:
            self._attempt(batch)
        except _NoTransaction as gone:
            self._fail(batch, gone)
        except _TransactionDied as died:
            if len(batch) == 1 or self._read_only_reason is not None:
                self._fail(batch, died)
                return
            for number, request in enumerate(batch):
                try:
                    self._attempt([request])
                except _TransactionDied as again:
                    self._fail([request], again)
                except _NoTransaction as gone:
                    self._fail(batch[number:], gone)
                    return

    def _attempt(self, batch: Sequence[_Request]) -> None:
        """Run a batch in one transaction; every request has its outcome unless this raises."""
        tx = self._begin()
        for request in batch:
            request.run(tx)
            self._check_alive(tx, request.error)
        try:
            tx.commit()
        except SQLAlchemyError as error:
            self._commit_failed(batch, error)

    def _begin(self) -> Connection:
        """Start a transaction that no other writer can overlap; reconnects once when that fails."""
        if self._read_only_reason is not None:
            raise _NoTransaction(self._read_only_reason)
        try:
            return self._begin_once()
        except SQLAlchemyError as error:
            self._disconnect()
            self._break_if_broken(error)
        try:
            return self._begin_once()
        except SQLAlchemyError as error:
            self._disconnect()
            self._break_if_broken(error)
            raise _NoTransaction(str(error)) from error

    def _begin_once(self) -> Connection:
        if self._connection is None:
            self._connection = self._writer_engine.connect()
        tx = self._connection
        tx.begin()
        if self.dialect == "postgresql":
            tx.execute(select(t.chain_head.c.id).with_for_update())
        return tx

    def _check_alive(self, tx: Connection, error: BaseException | None) -> None:
        """Raise _TransactionDied when a request took the whole transaction with it."""
        if error is not None:
            self._break_if_broken(error)
        alive = not tx.closed and not tx.invalidated and in_transaction(tx)
        if not alive or self._read_only_reason is not None:
            self._disconnect()
            raise _TransactionDied(str(error or "it ended the transaction itself")) from error

    def _commit_failed(self, batch: Sequence[_Request], error: SQLAlchemyError) -> None:
        """Tell a lost server, which may have committed, from a bad disk, which stops all."""
        self._disconnect()
        if self.dialect == "sqlite" or is_broken(error):
            self._break(f"a commit failed: {error}")
            self._fail(batch, error)
            return
        for request in batch:
            request.error = OutcomeUnknown(f"the database was lost during the commit: {error}")

    def _break_if_broken(self, error: BaseException) -> None:
        if is_broken(error):
            self._break(f"the storage failed: {error}")

    def _break(self, reason: str) -> None:
        """Stop all writing for the life of this store; the first reason stays."""
        if self._read_only_reason is None:
            self._read_only_reason = reason

    def _fail(self, batch: Sequence[_Request], cause: Exception) -> None:
        for request in batch:
            if self._read_only_reason is not None:
                request.error = StoreReadOnly(self._read_only_reason)
            else:
                request.error = StoreUnavailable(f"the database did not take the write: {cause}")
            request.error.__cause__ = cause

    def _disconnect(self) -> None:
        """Drop the connection and whatever was open on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if not connection.closed:
                connection.invalidate()
            connection.close()

    def _dispose(self) -> None:
        self._read_pool.shutdown()
        self._reader_engine.dispose()
        self._writer_engine.dispose()


@contextmanager
def _unavailable_on_error() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the ledger cannot be opened: {error}") from error


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest schema, making it if needed; may be called twice.

    Raises BadStoreUrl or StoreUnavailable; on any error nothing is changed.
    """
    engine = make_engine(store_url(url), Access.WRITE)
    try:
        with _unavailable_on_error(), engine.begin() as tx:
            upgrade_schema(tx)
    finally:
        engine.dispose()
