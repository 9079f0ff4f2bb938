"""Who, when and why of a write, and the trail of changes that are not movements."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from dispensed.ledger import tables as t

Details = Mapping[str, str | int | None]
_INSERT = insert(t.audit_event)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Given to every write: `actor` (person, device or job), aware instant `at`, and `reason`."""

    actor: str
    at: datetime
    reason: str = ""


def audit(tx: Connection, stamp: Stamp, verb: str, subject: str, details: Details) -> None:
    """Append one audit event: `verb` in the past tense, `subject` such as `lot 00071015523/A12`.

    Never a patient's name: only the opaque key.
    """
    tx.execute(
        _INSERT,
        {
            "actor": stamp.actor,
            "at": stamp.at,
            "verb": verb,
            "subject": subject,
            "reason": stamp.reason,
            "details": json.dumps(dict(details), sort_keys=True, separators=(",", ":")),
            "recorded_at": stamp.at,
        },
    )
