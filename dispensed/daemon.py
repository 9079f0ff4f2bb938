"""The composition root: builds ledger, devices, services, jobs and HTTP server; runs them as one.

Order matters. Starting: open the ledger, recover what a stop left unfinished, and only then touch a
device; ready when the HTTP server accepts. Stopping: no new requests, then no new work, then the
devices, the ledger last. Everything runs in one task group: a part that fails ends the daemon, and
the service manager starts it again.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import ClassVar

import structlog
import uvicorn
from fastapi import FastAPI

from dispensed.clock import Clock, SystemClock
from dispensed.devices.fleet import Fleet
from dispensed.devices.registry import Capability
from dispensed.devices.supervisor import Link, LinkState, Pace
from dispensed.errors import DispensedError
from dispensed.jobs import JOBS, JobRunner
from dispensed.ledger.engine import Store, StoreClosed, StoreProblem
from dispensed.model.counting import CountPolicy
from dispensed.model.quantity import MILLI
from dispensed.model.recall import RecallClocks
from dispensed.sdnotify import Notifier
from dispensed.services import inbox, places, recovery
from dispensed.services.changes import Changes
from dispensed.services.inputs import input_handler
from dispensed.services.recall_options import FeedOptions, RecallOptions
from dispensed.services.reconciling import reconcile
from dispensed.services.runner import DispenseRunner
from dispensed.services.site import DispenseOptions, ExpiryOptions, Site
from dispensed.settings import Settings
from dispensed.settings_sections import CountSettings
from dispensed.web.app import create_app
from dispensed.web.context import WebOptions
from drivers.base import RawMessage, Sink
from drivers.errors import DeviceUnavailable

HTTP_DRAIN_S = 2
"""How long requests under way may take when the daemon stops."""
PART_STOP_S = 3.0
"""How long one part may take to stop; the whole takes less than 10 s."""
CONNECTIONS_MAX = 512
"""HTTP connections at once; one more gets 503."""
BACKLOG = 128
"""HTTP connections that may wait to be accepted."""
SINK_RETRY_S = 1.0
"""Time between two attempts to store a device's message while the ledger takes no writes."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class CannotListen(DispensedError):
    """The HTTP address is taken or is not one of this machine's."""

    code: ClassVar[str] = "cannot_listen"


async def run(
    settings: Settings,
    *,
    program: tuple[str, ...],
    ready: Callable[[str], None],
    clock: Clock | None = None,
    pace: Pace | None = None,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; prints nothing.

    `program` is the command line of dispensed with this configuration, for work in a process of its
    own. `ready` is called once, with the URL, when requests are accepted. Raises SchemaOutdated,
    StoreUnavailable, CannotListen, or a group of whatever made a part fail.
    """
    with _listen(settings.http.host, settings.http.port) as listener:
        url = _url(listener)
        async with _open_store(settings) as store:
            daemon = _Daemon(settings, store, clock or SystemClock(), pace, program)
            with _stop_signals() as stop:
                await daemon.run(listener, stop, lambda: ready(url))
    log.info("daemon.stopped", url=url)


class _Daemon:
    """All parts of a running daemon."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        pace: Pace | None,
        program: tuple[str, ...],
    ) -> None:
        self._notifier = Notifier(os.environ)
        self._closing = asyncio.Event()
        self._fleet = Fleet(
            settings.devices,
            clock=clock,
            sink_for=self._sink_for,
            on_link=self._on_link,
            pace=pace,
            preferred=_preferred(settings),
        )
        self._site = Site(
            store=store,
            clock=clock,
            zone=settings.zone,
            machines=self._fleet,
            changes=Changes(),
            options=_dispense_options(settings),
            counting=_count_policy(settings.counts),
            expiry=ExpiryOptions(**settings.expiry.model_dump()),
            recalls=_recall_options(settings),
            repack=settings.repack.options(),
            controlled=settings.controlled.options(),
        )
        self._fleet.on_input(lambda name: input_handler(self._site, name))
        self._arrivals = _Arrivals(self._site)
        self._runner = DispenseRunner(self._site, workers=settings.dispensing.dispense_workers)
        self._jobs = JobRunner(self._site, settings.jobs, program=program)
        app = create_app(
            self._site,
            links=self._fleet.links,
            jobs=self._jobs,
            job_names=JOBS,
            options=_web_options(settings),
            closing=self._closing,
        )
        self._server = _server(app)

    async def run(
        self, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], None]
    ) -> None:
        """Recover, start every part, wait for `stop`, and stop them in order."""
        await places.ensure_places(self._site)
        await recovery.recover(self._site)
        async with asyncio.TaskGroup() as group:
            watchdog = group.create_task(self._feed_watchdog(), name="watchdog")
            fleet = group.create_task(self._fleet.run(), name="fleet")
            workers = [
                group.create_task(self._arrivals.run(), name="arrivals"),
                group.create_task(self._runner.run(), name="dispense runner"),
                group.create_task(self._jobs.run(), name="jobs"),
            ]
            web = group.create_task(self._server.serve([listener]), name="http")
            await self._server.accepting.wait()
            log.info("daemon.started", pid=os.getpid(), count=len(self._fleet.links()))
            self._notifier.send("READY=1", f"MAINPID={os.getpid()}")
            ready()
            await stop.wait()
            log.info("daemon.stop_requested")
            self._notifier.send("STOPPING=1")
            self._closing.set()
            self._server.should_exit = True
            await asyncio.wait([web], timeout=HTTP_DRAIN_S + 1)
            await _cancel(web, *workers)
            await _cancel(fleet, watchdog)

    async def _feed_watchdog(self) -> None:
        """Tell the service manager that the event loop turns, twice within the time it wants."""
        while self._notifier.watchdog_s:
            self._notifier.send("WATCHDOG=1")
            await asyncio.sleep(self._notifier.watchdog_s / 2)

    def _sink_for(self, name: str) -> Sink:
        async def sink(message: RawMessage) -> None:
            await _store_message(self._site, name, message)

        return sink

    def _on_link(self, link: LinkState) -> None:
        self._site.changes.notify("devices")
        if link.state is Link.UP and link.capability is Capability.CABINET:
            self._arrivals.note(link.device)


class _Arrivals:
    """Cabinets that came up: each may have moved stock alone and is compared with the book."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._names: dict[str, None] = {}
        self._event = asyncio.Event()

    def note(self, name: str) -> None:
        """Have a cabinet reconciled soon, once however often it is noted until then."""
        self._names[name] = None
        self._event.set()

    async def run(self) -> None:
        """Reconcile one cabinet after the other until cancelled."""
        while True:
            await self._event.wait()
            self._event.clear()
            while self._names:
                name = next(iter(self._names))
                del self._names[name]
                try:
                    await reconcile(self._site, name)
                except DispensedError as error:
                    log.warning("reconcile.failed", device_id=name, reason=str(error))


class _Server(uvicorn.Server):
    """The HTTP server without signal handlers of its own; `accepting` is set once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`; cancelled, drop connections and requests at once."""
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:
            for connection in list(self.server_state.connections):
                connection.shutdown()
            for task in self.server_state.tasks:
                task.cancel()
            raise

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell it."""
        await super().startup(sockets)
        self.accepting.set()


async def _store_message(site: Site, device: str, message: RawMessage) -> None:
    """Deliver a message, however long the ledger takes no writes: the device waits for its turn."""
    held = False
    while True:
        try:
            await inbox.deliver(site, device, message)
            if held:
                await inbox.apply_pending(site)
                log.info("message.taken", device_id=device, key=message.key)
        except StoreClosed as error:
            raise DeviceUnavailable(f"device {device}: {error}") from error
        except StoreProblem as error:
            if not held:
                log.exception("message.held", device_id=device, key=message.key, reason=str(error))
            held = True
            await asyncio.sleep(SINK_RETRY_S)
        else:
            return


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    _, late = await asyncio.wait(tasks, timeout=PART_STOP_S)
    for task in late:
        log.error("daemon.part_stuck", name=task.get_name(), timeout_s=PART_STOP_S)


# ---------------------------------------------------------------- parts


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # asyncio sets this only where the protocol number is given, and create_server gives none;
        # accepted connections inherit it. Without it every answer waits 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise CannotListen(f"http {host}:{port}: {error.strerror or error}") from error
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def _open_store(settings: Settings) -> AsyncIterator[Store]:
    store = await asyncio.to_thread(
        lambda: Store.open(settings.database.url, readers=settings.database.readers)
    )
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set; outside the main thread nothing sets it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    main = threading.current_thread() is threading.main_thread()
    caught = (signal.SIGTERM, signal.SIGINT) if main else ()
    for number in caught:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _preferred(settings: Settings) -> dict[str, str | None]:
    wanted = settings.dispensing
    return {
        Capability.CABINET: wanted.cabinet,
        Capability.COUNTER: wanted.counter,
        Capability.SCALE: wanted.scale,
        Capability.PRINTER: wanted.printer,
    }


def _dispense_options(settings: Settings) -> DispenseOptions:
    return DispenseOptions(
        weigh_check=settings.dispensing.weigh_check,
        command_timeout_s=settings.dispensing.command_timeout_s,
        label_title=settings.site.name,
    )


def _count_policy(settings: CountSettings) -> CountPolicy:
    known = settings.model_dump(exclude={"recount_units"})
    return CountPolicy(**known, recount_milli=settings.recount_units * MILLI)


def _recall_options(settings: Settings) -> RecallOptions:
    wanted = settings.recalls
    return RecallOptions(
        clocks=RecallClocks(wanted.class_i_hours, wanted.class_ii_hours, wanted.class_iii_hours),
        signatures=wanted.signatures,
        feed=FeedOptions(
            url=wanted.url,
            file=wanted.file,
            timeout_s=wanted.timeout_s,
            bytes_max=wanted.bytes_max,
            page_records=wanted.page_records,
            pages_max=wanted.pages_max,
        ),
    )


def _web_options(settings: Settings) -> WebOptions:
    return WebOptions(
        site_name=settings.site.name,
        metrics_open=settings.http.metrics_open,
        session_hours=settings.http.session_hours,
        streams_max=settings.http.streams_max,
    )


def _server(app: FastAPI) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=HTTP_DRAIN_S,
        )
    )
