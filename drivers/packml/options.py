"""What can be set about a PackML counter, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.opcua_link import Given, Link


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one counter; all times in seconds. Those of the link are in `drivers.opcua_link`.

    `target_parameter`: the machine's own name of the Start parameter that takes the number of
    pieces; OPC 30050 fixes none. `job_parameter`: prefix of a Start parameter whose name carries
    the job id, shown again in Status/Parameter ("": not sent; then a job whose end was not seen can
    be told only when nothing fell).

    `count_index`: element of the count arrays; 0 is the primary product. `defective_count`: whether
    the machine has one. `processed_includes_defective`: whether it counts a defective piece as
    processed too. `clear_aborted`: whether the driver may clear an aborted machine by itself.
    `poll_s`: longest pause between two looks during a job. `settle_s`: how long the counts must
    stand still after a job.
    """

    link: Link
    target_parameter: str
    job_parameter: str
    count_index: int
    defective_count: bool
    processed_includes_defective: bool
    clear_aborted: bool
    poll_s: float
    settle_s: float


def parse_options(options: Mapping[str, str | int | float | bool]) -> Options:
    """Return checked options; ValueError names every bad key."""
    given = Given(options)
    parsed = Options(
        link=given.link(),
        target_parameter=given.text("target_parameter", "TargetCount"),
        job_parameter=given.text("job_parameter", "JobId="),
        count_index=given.number("count_index", 0, 0, 1000),
        defective_count=given.flag("defective_count", default=True),
        processed_includes_defective=given.flag("processed_includes_defective", default=False),
        clear_aborted=given.flag("clear_aborted", default=False),
        poll_s=given.number("poll_ms", 100, 1, 5000) / 1000,
        settle_s=given.number("settle_ms", 200, 0, 10_000) / 1000,
    )
    if not parsed.target_parameter:
        given.refuse("option 'target_parameter' must not be empty")
    given.finish()
    return parsed
