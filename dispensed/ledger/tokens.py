"""API tokens: only the SHA-256 of a random token is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import api_token

TOKEN_BYTES = 32
ROLES = ("viewer", "technician", "pharmacist", "manager", "admin")


class TokenExists(Conflict):
    """A token of this name is in use."""

    code = "token_exists"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token, without its secret."""

    id: int
    name: str
    role: str
    created_at: datetime
    revoked_at: datetime | None


def digest(plain: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(plain.encode()).hexdigest()


def create(tx: Tx, name: str, role: str, stamp: Stamp) -> str:
    """Create a token and return it; it can never be read again. Raises Invalid or TokenExists."""
    if role not in ROLES:
        raise Invalid(f"role {role!r} is not one of {', '.join(ROLES)}")
    if not name.strip() or len(name) > 64:  # noqa: PLR2004 - a name, not a text
        raise Invalid(f"token name {name[:80]!r} must have 1 to 64 characters")
    if any(row.name == name and row.revoked_at is None for row in page(tx)):
        raise TokenExists(f"a token named {name} is in use; revoke it or choose another name")
    plain = secrets.token_urlsafe(TOKEN_BYTES)
    tx.execute(
        insert(api_token),
        {
            "name": name,
            "sha256": digest(plain),
            "role": role,
            "created_at": stamp.at,
            "recorded_at": stamp.at,
        },
    )
    audit(tx, stamp, "created", f"token {name}", {"role": role})
    return plain


def find(tx: Tx, plain: str) -> TokenRow | None:
    """Return the token that is in use under a secret, None for any other text."""
    row = tx.execute(
        select(api_token).where(
            api_token.c.sha256 == digest(plain), api_token.c.revoked_at.is_(None)
        )
    ).one_or_none()
    if row is None:
        return None
    return TokenRow(row.id, row.name, row.role, row.created_at, row.revoked_at)


def page(tx: Tx) -> tuple[TokenRow, ...]:
    """Return every token by id."""
    rows = tx.execute(select(api_token).order_by(api_token.c.id))
    return tuple(TokenRow(r.id, r.name, r.role, r.created_at, r.revoked_at) for r in rows)


def revoke(tx: Tx, name: str, stamp: Stamp) -> None:
    """Make the token of a name useless; raises NotFound when none is in use."""
    changed = tx.execute(
        update(api_token)
        .where(api_token.c.name == name, api_token.c.revoked_at.is_(None))
        .values(revoked_at=stamp.at)
    ).rowcount
    if not changed:
        raise NotFound(f"no token named {name} is in use")
    audit(tx, stamp, "revoked", f"token {name}", {})
