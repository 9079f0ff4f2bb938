"""Who may use the API."""

from dispensed.ledger import tokens
from dispensed.ledger.tokens import TokenRow
from dispensed.services.site import Site


async def create_token(site: Site, name: str, role: str, actor: str) -> str:
    """Create a token; returns its secret, which is shown this one time."""
    return await site.store.write(lambda tx: tokens.create(tx, name, role, site.stamp(actor)))


async def check_token(site: Site, plain: str) -> TokenRow | None:
    """Return whose token this is, None when it is not in use."""
    return await site.store.read(lambda tx: tokens.find(tx, plain))
