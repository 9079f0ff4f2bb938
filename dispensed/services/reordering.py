"""Reorder proposals: one open proposal per item, each with the numbers that led to it."""

import json

from dispensed.errors import Invalid
from dispensed.ledger import reorder
from dispensed.ledger.engine import Tx
from dispensed.ledger.reorder import ProposalRow
from dispensed.model.planning import inventory_position, order_quantity
from dispensed.services.site import Site

ACTOR = "reorder"
SITE_STOCK = "receiving"
"""Where ordered stock arrives; policies look at the usable stock of the whole site."""


async def propose(site: Site) -> tuple[ProposalRow, ...]:
    """Bring the open proposals in line with the policies; returns those open afterwards.

    Idempotent: run a hundred times, or twice at once, it leaves one open proposal per item. A
    proposal whose need is gone is cancelled; approved ones count as on order.
    """
    today = site.today()
    stamp = site.stamp(ACTOR)

    def write(tx: Tx) -> tuple[ProposalRow, ...]:
        for policy in reorder.policies(tx):
            numbers = reorder.position(tx, policy.item_id, policy.location_id, today)
            advice = order_quantity(
                policy.policy,
                inventory_position(
                    usable_milli=numbers.usable,
                    on_order_milli=numbers.on_order,
                    owed_milli=numbers.owed,
                ),
            )
            explanation = json.dumps(
                {
                    "policy": advice.kind,
                    "usable_milli": numbers.usable,
                    "on_order_milli": numbers.on_order,
                    "owed_milli": numbers.owed,
                    "position_milli": advice.position_milli,
                    "trigger_milli": advice.trigger_milli,
                    "target_milli": advice.target_milli,
                    "pack_milli": advice.pack_milli,
                    "packs": advice.packs,
                }
            )
            reorder.set_open(
                tx, policy.item_id, policy.location_id, advice.order_milli, explanation, stamp
            )
        return reorder.proposals(tx, state="open")

    rows = await site.store.write(write)
    site.changes.notify("proposals")
    return rows


async def proposals(site: Site, *, state: str | None = "open") -> tuple[ProposalRow, ...]:
    """Return proposals of a state, or all."""
    return await site.store.read(lambda tx: reorder.proposals(tx, state=state))


async def approve(site: Site, proposal_id: int, actor: str) -> ProposalRow:
    """Approve an open proposal: it counts as on order until it is received."""
    return await _decide(site, proposal_id, "approved", actor, "")


async def reject(site: Site, proposal_id: int, reason: str, actor: str) -> ProposalRow:
    """Cancel an open proposal; the next reorder run may propose again."""
    if not reason.strip():
        raise Invalid(f"proposal {proposal_id}: say why it is rejected")
    return await _decide(site, proposal_id, "cancelled", actor, reason)


async def _decide(site: Site, proposal_id: int, state: str, actor: str, reason: str) -> ProposalRow:
    stamp = site.stamp(actor, reason)
    row = await site.store.write(lambda tx: reorder.decide(tx, proposal_id, state, stamp))
    site.changes.notify("proposals")
    return row
