"""How an OPC UA link is protected: nothing is left open that the configuration does not name."""

from pathlib import Path

import pytest

from drivers.opcua_link import Given, Link, check_address

Options = dict[str, str | int | float | bool]
PLAIN: Options = {"security": "none", "user": "anonymous"}
SECURE: Options = {
    "security": "Basic256Sha256",
    "certificate": "client.der",
    "private_key": "client.pem",
    "server_certificate": "machine.der",
    "user": "anna",
    "password_file": "anna.secret",
}
FINGERPRINT = "AB:" * 31 + "CD"


def link_of(options: Options) -> Link:
    given = Given(options)
    link = given.link()
    given.finish()
    return link


def test_an_open_link_without_a_user_is_named_twice() -> None:
    link = link_of(PLAIN)
    assert link.told() == "None (unprotected), anonymous"
    assert (link.request_timeout_s, link.keepalive_s) == (4.0, 2.0)
    assert link.root == ()
    for missing in PLAIN:
        with pytest.raises(ValueError, match=f"'{missing}' must be named"):
            link_of({key: PLAIN[key] for key in PLAIN if key != missing})


def test_a_protected_link_says_so() -> None:
    link = link_of(SECURE)
    assert link.told() == "Basic256Sha256 SignAndEncrypt, user anna"
    assert link.server_certificate == Path("machine.der")
    assert link.password_file == Path("anna.secret")
    anonymous = {key: SECURE[key] for key in SECURE if key != "password_file"}
    told = link_of(anonymous | {"user": "anonymous"}).told()
    assert told == "Basic256Sha256 SignAndEncrypt, anonymous"


def test_a_certificate_can_be_pinned_by_its_fingerprint() -> None:
    options = {key: SECURE[key] for key in SECURE if key != "server_certificate"}
    link = link_of(options | {"server_fingerprint": FINGERPRINT})
    assert link.server_certificate is None
    assert link.server_fingerprint == "ab" * 31 + "cd"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"certificate": ""}, "'certificate' is needed"),
        ({"private_key": ""}, "'private_key' is needed"),
        ({"server_certificate": ""}, "pins the machine"),
        ({"server_fingerprint": FINGERPRINT}, "pins the machine"),
        ({"server_certificate": "", "server_fingerprint": "ab12"}, "64 hex digits"),
        ({"password_file": ""}, "'password_file' is needed with user 'anna'"),
        ({"user": "anonymous"}, "'password_file' is of no use"),
        ({"security": "none"}, "a password is sent with security 'Basic256Sha256' only"),
        ({"security": "none"}, "'certificate' is of use with Basic256Sha256 only"),
        ({"security": "Basic128Rsa15"}, "one of none, Basic256Sha256"),
        ({"colour": "red"}, "'colour' is not known"),
        ({"request_timeout_ms": 99}, "'request_timeout_ms' must be 100 to 60000, not 99"),
        ({"user": 5}, "'user' must be a text"),
    ],
)
def test_a_half_protected_link_is_refused(change: Options, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        link_of(SECURE | change)


def test_a_root_is_names_parted_by_slashes() -> None:
    assert link_of(PLAIN | {"root": "/Machines/Counter 1/"}).root == ("Machines", "Counter 1")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:4840",
        "opc.tcp://127.0.0.1",
        "opc.tcp://:4840",
        "opc.tcp://127.0.0.1:70000",
        "opc.tcp://user:secret@127.0.0.1:4840",
        "http://user:secret@127.0.0.1:4840",
    ],
)
def test_an_address_that_is_no_endpoint_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        check_address(address)
    assert "secret" not in str(caught.value)


def test_an_endpoint_may_have_a_path() -> None:
    check_address("opc.tcp://counter.local:4840/UA/Counter")


def test_a_choice_is_one_of_those_given() -> None:
    given = Given({"kind": "c"})
    given.choice("kind", ("a", "b"))
    with pytest.raises(ValueError, match="'kind' must be one of a, b, not 'c'"):
        given.finish()
