"""Bodies and parameters of the reports."""

from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from dispensed.model.catalog import ID_LENGTH_MAX
from dispensed.model.report import ROWS_MAX, Period
from dispensed.services.reports import DAYS_MAX, Format, Kind, Wanted
from dispensed.web.requests import ID_MAX
from dispensed.web.schemas import Out

_Name = Annotated[str | None, Field(max_length=ID_LENGTH_MAX)]


class ReportQuery(BaseModel):
    """What a report is asked for; each takes some of these and refuses the others."""

    model_config = ConfigDict(extra="forbid")

    format: Format = Format.JSON
    item: _Name = None
    lot: _Name = None
    location: _Name = None
    since: date | None = Field(default=None, description="first day of the period, at the site")
    until: date | None = Field(default=None, description="last day of the period, at the site")
    period: Period | None = None
    days: int | None = Field(default=None, ge=0, le=DAYS_MAX)
    number: int | None = Field(default=None, ge=1, le=ID_MAX, description="of a case or inventory")
    limit: int | None = Field(default=None, ge=1, le=ROWS_MAX)

    def wanted(self) -> Wanted:
        """Return what is asked."""
        return Wanted(**self.model_dump(exclude={"format"}))


class ReportColumnOut(Out):
    """One column: amounts are integer thousandths, times UTC."""

    key: str
    head: str
    kind: str


class ReportKindOut(Out):
    """One report: what it must be given, what it takes besides, and what it shows."""

    name: str
    title: str
    help: str
    needs: list[str]
    takes: list[str]
    columns: list[ReportColumnOut]

    @classmethod
    def of(cls, name: str, kind: Kind) -> Self:
        """Shape one row of the table of reports."""
        return cls(
            name=name,
            title=kind.title,
            help=kind.help,
            needs=list(kind.needs),
            takes=[each for each in kind.parameters if each not in kind.needs],
            columns=[
                ReportColumnOut(key=each.key, head=each.head, kind=each.kind)
                for each in kind.columns
            ],
        )
