"""Answers to a machine that asks whether packs may enter. Pure.

Source: WWKS 2 Reference Manual V6.0 §6.4. The machine stores what the answer says, so everything
that the request named and the decision does not overrule is mirrored: a missing attribute would be
stored as its default, a blank batch number for one.
"""

from drivers.base import InputAsked, InputDecision
from drivers.wwks2 import messages as wire

TEXT_MAX = 200
"""Longest text sent for the machine's display; the manual names no limit."""

_REASONS = {
    "no_expiry": wire.Handling.NO_EXPIRY_DATE,
    "no_lot": wire.Handling.NO_BATCH_NUMBER,
    "no_serial": wire.Handling.NO_SERIAL_NUMBER,
    "not_pickable": wire.Handling.NO_PICKING_INDICATOR,
    "no_location": wire.Handling.NO_STOCK_LOCATION,
    "wrong_location": wire.Handling.INVALID_STOCK_LOCATION,
}
"""Reasons of an `InputDecision` that WWKS2 has a word for; any other text is `Rejected`."""


def asked_packs(request: wire.InputRequest) -> list[tuple[wire.Article, wire.PackData]]:
    """Return the packs of a request with the article each stands under."""
    return [(article, pack) for article in request.articles for pack in article.packs]


def asked(article: wire.Article, pack: wire.PackData) -> InputAsked:
    """Return the question for one pack."""
    return InputAsked(
        scan_code=pack.scan_code,
        article=article.id,
        lot=pack.batch,
        expiry=pack.expiry,
        units=pack.sub_items or None,
    )


def answered(article: wire.Article, pack: wire.PackData, decision: InputDecision) -> wire.Article:
    """Return the answer for one pack, as an article with that pack."""
    if decision.allowed:
        cool = decision.refrigerated
        handling = wire.Handling.ALLOWED_FOR_FRIDGE if cool else wire.Handling.ALLOWED
        article_id, name = decision.article or article.id, decision.name or article.name
    else:
        handling = _REASONS.get(decision.reason, wire.Handling.REJECTED)
        article_id, name = decision.article, decision.name
    stored = wire.PackData(
        index=pack.index,
        delivery=pack.delivery,
        batch=decision.lot or pack.batch,
        external_id=pack.external_id,
        serial=pack.serial,
        expiry=decision.expiry or pack.expiry,
        sub_items=pack.sub_items if decision.units is None else decision.units,
        stock_location=pack.stock_location,
        handling=handling,
        handling_text=decision.reason[:TEXT_MAX],
    )
    return wire.Article(
        id=article_id,
        name=name,
        max_sub_items=decision.pack_units or article.max_sub_items,
        packs=(stored,),
    )
