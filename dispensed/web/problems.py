"""Errors over HTTP: `application/problem+json` with code, title, detail and what to do next.

One table maps every stable error code to its status. Source of the form: RFC 9457; `code` and
`next` are members of our own.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dispensed.errors import DispensedError

MEDIA_TYPE = "application/problem+json"
DETAIL_MAX = 2000
_AGAIN = "correct the request and send it again"
_LOOK = "read the present state and decide"
_WAIT = "see /readyz, then send the same request again"
_DEVICE = "see /api/v1/devices, mend the device, then send the same request again"
_REPORT = "nothing was changed by this request; look into the daemon's log"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Unauthenticated(DispensedError):
    """The request carries no token that is known."""

    code: ClassVar[str] = "unauthenticated"


class CrossSite(DispensedError):
    """A request with the page's cookie came from another site."""

    code: ClassVar[str] = "cross_site"


class TooLarge(DispensedError):
    """The body of the request is larger than this address takes."""

    code: ClassVar[str] = "too_large"


class TooManyStreams(DispensedError):
    """As many programs follow live events as are allowed to."""

    code: ClassVar[str] = "too_many_streams"


STATUS: Mapping[str, tuple[int, str]] = {
    "error": (500, _REPORT),
    # the request is wrong
    "invalid": (422, _AGAIN),
    "bad_quantity": (422, "write a plain decimal with at most three decimals, such as 12.5"),
    "bad_catalog_entry": (422, _AGAIN),
    "bad_gs1": (422, "scan the package again, or type what is printed on it"),
    "bad_gtin": (422, "scan the package again, or type what is printed on it"),
    "bad_ndc": (422, "write the NDC with its dashes, as printed on the package"),
    "bad_formulary": (422, "correct the named lines; nothing of the file was taken"),
    "bad_recall_notice": (422, "correct the named records and send the file again"),
    "bad_plan": (422, _AGAIN),
    "bad_order_form": (422, "read the number of the form again; see controlled.order_form_pattern"),
    "estimate_refused": (422, "count it, then send the exact amount"),
    "override_needs_reason": (422, "give the order, or say why there is none"),
    "bad_weighing": (422, _AGAIN),
    "bad_count": (422, _AGAIN),
    "uncountable": (422, "weigh smaller portions, or count by hand"),
    "unknown_reason": (422, "see /api/v1/discrepancies/reasons for the reason codes"),
    "bad_repack": (422, _AGAIN),
    "illegal_movement": (422, _AGAIN),
    "bad_movement": (422, _AGAIN),
    "not_a_fact": (422, _AGAIN),
    "unknown_ndc_layout": (422, "write the NDC with its dashes, as printed on the package"),
    "unknown_protocol": (422, "run `dispensed config check`"),
    "unbookable": (422, "see the inbox; the message is kept"),
    "bad_store_url": (500, "correct database.url"),
    "bad_config": (500, "run `dispensed config check`"),
    # there is no such thing
    "not_found": (404, "check the name"),
    "device_unknown": (404, "see /api/v1/devices for the configured devices"),
    "job_unknown": (404, "see /api/v1/jobs for the jobs"),
    "item_not_found": (404, "see /api/v1/items?query=... for the catalogue"),
    "lot_not_found": (404, "see /api/v1/lots?item=... for the lots in stock"),
    "location_not_found": (404, "check the name of the place"),
    "dispense_not_found": (404, "see /api/v1/dispenses"),
    "message_not_found": (404, "check the number"),
    "reservation_not_found": (404, "check the number"),
    "count_not_found": (404, "see /api/v1/counts"),
    "movement_not_found": (404, "see /api/v1/movements"),
    "claim_not_found": (404, "check the number"),
    "report_not_found": (404, "see /api/v1/reports for the reports"),
    "container_not_found": (404, "see /api/v1/containers"),
    "return_not_found": (404, "see /api/v1/returns-to-stock"),
    "repack_not_found": (404, "see /api/v1/repacks"),
    "recall_case_not_found": (404, "see /api/v1/recalls/cases"),
    "removal_not_found": (404, "see /api/v1/controlled/removals"),
    "waste_not_found": (404, "see /api/v1/controlled/wastes"),
    "inventory_not_found": (404, "see /api/v1/controlled/inventories"),
    "order_form_not_found": (404, "record the form at /api/v1/controlled/order-forms first"),
    "loss_not_found": (404, "see /api/v1/controlled/losses"),
    # the present state forbids it
    "conflict": (409, _LOOK),
    "more_than_open": (409, "see /api/v1/controlled/removals for what is open"),
    "witness_missing": (409, "state the waste at /api/v1/controlled/wastes"),
    "witness_is_author": (409, "let another person confirm it with an own token"),
    "witness_too_late": (409, "state the waste again, and let it be confirmed in time"),
    "already_witnessed": (409, _LOOK),
    "inventory_signed": (409, "begin a new inventory"),
    "inventory_incomplete": (409, "count what is named, then sign"),
    "initial_taken": (409, "begin a biennial inventory"),
    "order_form_exists": (409, "see /api/v1/controlled/order-forms for the form on record"),
    "order_form_needed": (409, "give order_form and order_line of the form on record"),
    "over_receipt": (409, "count again; return what was not ordered, or order it on another form"),
    "loss_exists": (409, "see /api/v1/controlled/losses for the case"),
    "loss_closed": (409, _LOOK),
    "loss_untold": (409, "tell the DEA, record it, then go on"),
    "insufficient_stock": (409, "see /api/v1/stock?item=... for what is available, and where"),
    "not_enough_stock": (409, "see /api/v1/stock?item=... for what is available, and where"),
    "blocked_place": (409, "choose another place"),
    "request_reused": (409, "use a new request id for a new request"),
    "order_exists": (409, "see /api/v1/dispenses for the order"),
    "reservation_closed": (409, _LOOK),
    "already_reversed": (409, "see /api/v1/movements for its reversal"),
    "not_reversible": (409, _LOOK),
    "item_conflict": (409, "see /api/v1/items/... for the item as it is known"),
    "expiry_conflict": (409, "read the package again; see /api/v1/lots for the known expiry"),
    "lot_recalled": (409, "see /api/v1/recalls; the lot stays blocked while the recall is open"),
    "location_conflict": (409, _LOOK),
    "discrepancy_closed": (409, _LOOK),
    "own_access": (409, "another person resolves it"),
    "still_differs": (409, "see /api/v1/discrepancies/... for what differs; correct it"),
    "count_closed": (409, "see /api/v1/counts for those that wait"),
    "count_exists": (409, "use a new request id for a new count"),
    "same_person": (409, "another person counts again"),
    "proposal_decided": (409, _LOOK),
    "recall_exists": (409, "see /api/v1/recalls for the open case"),
    "recall_closed": (409, _LOOK),
    "recall_case_closed": (409, _LOOK),
    "recall_decided": (409, _LOOK),
    "recall_line_of_case": (409, "answer, sign and close the case: /api/v1/recalls/cases"),
    "recall_not_ready": (409, "do what is named, then sign and close the case"),
    "recall_unsigned": (409, "let another person sign the case, each with a token of their own"),
    "recall_in_use": (409, _LOOK),
    "packed_too_late": (409, "see /api/v1/lots for the expiry of the lot"),
    "not_conserved": (409, "count units, waste and samples again; they must add up to the bulk"),
    "repack_transition": (409, "see /api/v1/repacks/... for the state of the run"),
    "child_lot_taken": (409, "give another lot number"),
    "checked_by_packer": (409, "let another person check the run"),
    "repack_waste_unwitnessed": (409, "waste it before a witness, then name that movement"),
    "waste_not_of_run": (409, "see /api/v1/movements for the waste of this run"),
    "repack_not_released": (409, "check and release the run, or cancel it"),
    "more_than_dispensed": (409, "see /api/v1/trace/dispenses/... for what is outside"),
    "not_handed_out": (409, "void the fill; what was picked goes back by itself"),
    "trace_too_long": (409, "see /api/v1/movements?lot=..."),
    "repack_label_in_doubt": (409, "look at the printer; print again with a reason"),
    "repack_not_packed": (409, "pack the run first"),
    "container_closed": (409, _LOOK),
    "own_ancestor": (409, "see /api/v1/trace/lots/... for the origin of both lots"),
    "token_exists": (409, "choose another name"),
    "unverified": (409, "verify the fill first"),
    "blocked_lot": (409, "see /api/v1/lots for the state and expiry of the lot"),
    "already_settled": (409, _LOOK),
    "illegal_transition": (409, _LOOK),
    "count_differs": (409, "count again; a count that differs from the order is never verified"),
    "weight_missing": (409, "weigh the fill, then verify it"),
    "place_rule": (409, "choose another place, or change the rule of this one"),
    "protocol_mixed": (409, "use a place of the protocol; see /api/v1/places/rules"),
    "protocol_exists": (409, "see /api/v1/protocols for what is known"),
    "protocol_closed": (409, _LOOK),
    "protocol_not_found": (404, "see /api/v1/protocols"),
    "place_in_itself": (409, "choose another place around it"),
    "place_in_use": (409, "empty the place first"),
    "other_protocol": (409, "see /api/v1/dispenses for the order"),
    "lot_in_excursion": (409, "release it in /api/v1/excursions/... with a reason"),
    "excursion_ended": (409, _LOOK),
    "lot_released": (409, _LOOK),
    "task_done": (409, "see /api/v1/outdates for the pull list"),
    "illegal_batch_step": (409, "see /api/v1/batches/... for its state"),
    "batch_differs": (409, "unpack the named lines and pack them again"),
    "batch_not_open": (409, "open the batch again, with a reason"),
    "dea_form_missing": (409, "fill in the DEA form and give its number"),
    "second_person_needed": (409, "let another person sign in and say it too"),
    "label_in_doubt": (409, "look at the printer; print again with a reason, if none came out"),
    # who asks
    "unauthenticated": (
        401,
        "send `Authorization: Bearer` and a token; see `dispensed token create`",
    ),
    "cross_site": (403, "use the page itself, or a bearer token"),
    "too_large": (413, "send less at once"),
    # a machine, the storage, or we ourselves
    "device_problem": (502, _DEVICE),
    "other_machine": (502, "correct option serial of the device, or the cable"),
    "device_down": (503, _DEVICE),
    "reports_busy": (503, "wait until another report is made, then ask again"),
    "too_many_streams": (503, "close another page, or raise http.streams_max"),
    "store_problem": (503, _WAIT),
    "store_read_only": (503, "free or repair the storage, then restart the daemon"),
    "store_unavailable": (503, _WAIT),
    "store_closed": (503, _WAIT),
    "store_outcome_unknown": (503, "send the same request again, with the same request id"),
    "cannot_listen": (500, "stop the other program, or choose another http.port"),
    "schema_outdated": (503, "run `dispensed db upgrade`"),
    "recall_feed": (502, "see [recalls] in the configuration, or import a file"),
    "job_failed": (500, "see /api/v1/jobs for its result"),
    "invariant_broken": (500, _REPORT),
}
"""HTTP status and advice for every error code."""


def problem(code: str, detail: str, *, status: int | None = None) -> JSONResponse:
    """Build the answer for an error; an unlisted code is a 500 and says so in the log."""
    listed, advice = STATUS.get(code, (500, _REPORT))
    chosen = status if status is not None else listed
    return JSONResponse(
        {
            "type": "about:blank",
            "code": code,
            "title": HTTPStatus(chosen).phrase,
            "status": chosen,
            "detail": detail[:DETAIL_MAX],
            "next": advice,
        },
        status_code=chosen,
        media_type=MEDIA_TYPE,
        headers={"WWW-Authenticate": "Bearer"} if chosen == HTTPStatus.UNAUTHORIZED else None,
    )


def listed_code(error: Exception) -> str:
    """Return the code of an error; that of the nearest branch when its own is not in the table."""
    for each in type(error).__mro__:
        if issubclass(each, DispensedError) and each.code in STATUS:
            return each.code
    return DispensedError.code


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document."""
    app.add_exception_handler(DispensedError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    code = listed_code(error)
    answer = problem(code, str(error))
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning(
            "request.failed",
            method=request.method,
            path=request.url.path,
            code=code,
            reason=str(error),
        )
    return answer


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    """Name every field that cannot be read, and what was sent for it."""
    del request
    if not isinstance(error, RequestValidationError):
        return problem("error", "the request could not be read")
    parts = []
    for each in error.errors():
        place = ".".join(str(part) for part in each["loc"])
        given = "" if each["type"] == "missing" else f", not {_shown(each.get('input'))}"
        parts.append(f"{place}: {each['msg']}{given}")
    return problem("invalid", "; ".join(parts))


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else "this"
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line's worth


async def _no_route(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error.__cause__, TooLarge):
        return problem(TooLarge.code, str(error.__cause__))
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = "not_found" if status == HTTPStatus.NOT_FOUND else "invalid"
    return problem(code, f"{request.method} {request.url.path}: {error}", status=status)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """Answer a fault of our own without its details, which go to the log."""
    log.error("request.raised", method=request.method, path=request.url.path, exc_info=error)
    return problem("error", f"{request.method} {request.url.path} failed inside the daemon")
