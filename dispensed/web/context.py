"""What every handler gets: the site, the devices' links, the jobs, and this server's limits."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from dispensed.devices.supervisor import LinkState
from dispensed.ledger.counts import Counts
from dispensed.services.site import Site


class JobOutcome(Protocol):
    """One finished run of a job."""

    @property
    def job(self) -> str:
        """Name of the job."""
        ...

    @property
    def slot(self) -> str:
        """Which run it was."""
        ...

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        ...

    @property
    def result(self) -> str:
        """A sentence for people."""
        ...

    @property
    def started_at(self) -> datetime:
        """When it began."""
        ...

    @property
    def finished_at(self) -> datetime:
        """When it ended."""
        ...


class Jobs(Protocol):
    """The scheduled jobs as the web sees them."""

    @property
    def failing(self) -> Mapping[str, str]:
        """The jobs whose last run failed, each with the reason."""
        ...

    def next_due(self, name: str) -> datetime | None:
        """Return when a job is due next."""
        ...

    async def run_now(self, name: str) -> JobOutcome:
        """Run a job at once."""
        ...


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Limits and names of the HTTP server; see `HttpSettings`."""

    site_name: str = "Pharmacy"
    metrics_open: bool = False
    session_hours: int = 12
    streams_max: int = 64


@dataclass
class Web:
    """One HTTP application at run time."""

    site: Site
    links: Callable[[], tuple[LinkState, ...]]
    jobs: Jobs
    job_names: tuple[str, ...]
    options: WebOptions
    closing: asyncio.Event
    counts: Counts = field(default_factory=Counts)
    streams: int = 0


def web_of(request: Request) -> Web:
    """Return the application's context."""
    return cast("Web", request.app.state.web)


WebContext = Annotated[Web, Depends(web_of)]
