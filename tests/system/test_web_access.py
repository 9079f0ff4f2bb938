"""Who gets in: tokens, the page's session, cross-site requests, headers, streams."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from dispensed.ledger import tokens
from dispensed.web import pages
from dispensed.web.context import WebOptions
from tests.system.web_bench import NOW, STAMP, Bench, bench

OPEN = {"/healthz", "/readyz", "/sign-in", "/sign-out", "/"}
"""Open by intention: health, and the way in; the page itself sends to the sign-in form."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def every_route(site: Bench) -> list[tuple[str, str]]:
    """What the API describes, and the page's own addresses, which it does not."""
    found = [
        (method.upper(), path)
        for path, methods in site.app.openapi()["paths"].items()
        for method in methods
    ]
    for route in pages.router.routes:
        assert isinstance(route, APIRoute)
        found += [(method, route.path) for method in sorted(route.methods or ())]
    return [*found, ("GET", "/api/v1/openapi.json")]


def test_no_endpoint_but_health_and_the_way_in_is_open(site: Bench) -> None:
    routes = every_route(site)
    assert len(routes) > 35
    with site.anonymous() as nobody:
        for method, path in routes:
            if path in OPEN:
                continue
            address = path.replace("{dispense_id}", "1").replace("{case_id}", "1")
            address = address.replace("{lot}", "L").replace("{name}", "n")
            answer = nobody.request(method, address.replace("{item_id}", "i"))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            if method != "HEAD":
                assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("header", ["Bearer", "Bearer wrong", "Basic YTpi", "token"])
def test_a_header_without_a_known_token_is_refused(site: Bench, header: str) -> None:
    with site.anonymous() as nobody:
        answer = nobody.get("/api/v1/items", headers={"Authorization": header})
    assert answer.status_code == 401


def test_a_revoked_token_and_its_sessions_end_at_once(site: Bench) -> None:
    with site.client() as api, site.anonymous() as browser:
        browser.get("/sign-in", params={"token": site.token})
        assert api.get("/api/v1/items").status_code == 200
        assert browser.get("/").status_code == 200
        site.store.write_sync(lambda tx: tokens.revoke(tx, "bench", STAMP))
        assert api.get("/api/v1/items").status_code == 401
        assert browser.get("/").status_code == 303


def test_tokens_are_not_kept_in_readable_form(site: Bench, tmp_path: Path) -> None:
    assert len(site.token) == 43
    assert all(
        site.token.encode() not in file.read_bytes() for file in tmp_path.glob("dispensed.db*")
    )


def test_the_link_with_the_token_signs_in_and_sends_to_the_page(site: Bench) -> None:
    with site.anonymous() as browser:
        assert browser.get("/").headers["location"] == "/sign-in"
        answer = browser.get("/sign-in", params={"token": site.token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert site.token not in cookie
        assert browser.get("/").status_code == 200
        assert browser.get("/api/v1/items").status_code == 200


def test_a_wrong_token_gets_the_form_again_and_no_cookie(site: Bench) -> None:
    with site.anonymous() as browser:
        answer = browser.get("/sign-in", params={"token": "wrong"})
        assert answer.status_code == 401
        assert "This token is not known" in answer.text
        assert "set-cookie" not in answer.headers


def test_the_form_signs_in_and_out(site: Bench) -> None:
    with site.anonymous() as browser:
        origin = {"Origin": site.base_url}
        answer = browser.post("/sign-in", data={"token": site.token}, headers=origin)
        assert answer.headers["location"] == "/"
        assert browser.get("/").status_code == 200
        kept = browser.cookies["dispensed_session"]
        assert browser.post("/sign-out", headers=origin).headers["location"] == "/sign-in"
        stolen = {"Cookie": f"dispensed_session={kept}"}
        assert browser.get("/api/v1/items", headers=stolen).status_code == 401


def test_a_session_ends_after_its_hours(site: Bench) -> None:
    with site.anonymous() as browser:
        browser.get("/sign-in", params={"token": site.token})
        site.clock.at = NOW + timedelta(hours=11, minutes=59)
        assert browser.get("/").status_code == 200
        site.clock.at = NOW + timedelta(hours=12)
        assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {}],
)
def test_another_site_cannot_use_the_cookie_to_change_something(
    site: Bench, headers: dict[str, str]
) -> None:
    with site.anonymous() as browser:
        browser.get("/sign-in", params={"token": site.token})
        answer = browser.post("/api/v1/jobs/reorder/run", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
        for own in ({"Origin": site.base_url}, {"Sec-Fetch-Site": "same-origin"}):
            assert browser.post("/api/v1/jobs/reorder/run", headers=own).status_code == 200


def test_every_answer_carries_the_security_headers(site: Bench) -> None:
    with site.anonymous() as browser:
        for path in ("/healthz", "/sign-in", "/static/page.css", "/api/v1/items", "/nothing"):
            headers = browser.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"
        assert browser.get("/sign-in").headers["cache-control"] == "no-store"


def test_the_page_loads_nothing_from_elsewhere(site: Bench) -> None:
    with site.anonymous() as browser:
        browser.get("/sign-in", params={"token": site.token})
        texts = [browser.get(p).text for p in ("/", "/static/page.css", "/static/page.js")]
    assert all("http://" not in text and "https://" not in text for text in texts)


def test_metrics_need_a_token_unless_the_settings_open_them(tmp_path: Path) -> None:
    with (
        bench(tmp_path, options=WebOptions(metrics_open=True)) as site,
        site.anonymous() as nobody,
    ):
        assert nobody.get("/metrics").status_code == 200


def test_no_more_streams_than_allowed_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    with (
        bench(tmp_path, options=WebOptions(streams_max=1)) as site,
        site.client() as first,
        site.client() as second,
    ):
        with first.stream("GET", "/api/v1/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            refusal = second.get("/api/v1/events")
            assert (refusal.status_code, refusal.json()["code"]) == (503, "too_many_streams")
        for _ in range(50):
            site.notify("stock")
            with second.stream("GET", "/api/v1/events") as again:
                if again.status_code == httpx.codes.OK:
                    return
        raise AssertionError("the closed stream was still counted after 50 tries")
