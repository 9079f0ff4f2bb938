"""Runs of scheduled jobs: one row per job and slot, inserted before the job starts."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update

from dispensed.ledger.engine import Tx
from dispensed.ledger.tables import job_run


@dataclass(frozen=True, slots=True)
class JobRow:
    """One run; `slot` names the time it was due."""

    job: str
    slot: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    result: str


def begin(tx: Tx, job: str, slot: str, at: datetime) -> bool:
    """Claim a slot; False when it was claimed before, by whatever process."""
    taken = tx.execute(
        select(job_run.c.job).where(job_run.c.job == job, job_run.c.slot == slot)
    ).first()
    if taken is not None:
        return False
    tx.execute(
        insert(job_run),
        {
            "job": job,
            "slot": slot,
            "state": "running",
            "started_at": at,
            "result": "",
            "recorded_at": at,
        },
    )
    return True


def finish(tx: Tx, job: str, slot: str, *, ok: bool, result: str, at: datetime) -> None:
    """Write how a claimed run ended."""
    tx.execute(
        update(job_run)
        .where(job_run.c.job == job, job_run.c.slot == slot)
        .values(state="done" if ok else "failed", finished_at=at, result=result)
    )


def last_runs(tx: Tx) -> tuple[JobRow, ...]:
    """Return the latest run of every job."""
    newest = (
        select(job_run.c.job, func.max(job_run.c.started_at).label("started_at"))
        .group_by(job_run.c.job)
        .subquery()
    )
    rows = tx.execute(
        select(job_run)
        .join(
            newest,
            (newest.c.job == job_run.c.job) & (newest.c.started_at == job_run.c.started_at),
        )
        .order_by(job_run.c.job, job_run.c.slot)
    )
    return tuple(
        JobRow(r.job, r.slot, r.state, r.started_at, r.finished_at, r.result) for r in rows
    )
