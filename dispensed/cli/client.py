"""Talks to the running daemon; every failure says what to do next."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias, cast

import click
import httpx

from dispensed.cli.base import Failure, Unreachable, config_path, settings_of
from dispensed.settings import Settings

TOKEN_VARIABLE = "DISPENSED_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "cli-token"  # noqa: S105 - the name of a file
CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 300.0
"""How long an answer may take; a machine works while a dispense is released or a job runs."""

Json: TypeAlias = dict[str, object]


class Daemon:
    """The API of the running daemon."""

    def __init__(self, client: httpx.Client, url: str, config: str) -> None:
        self._client = client
        self._url = url
        self._start = f"dispensed --config {config} run"

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Json:
        """Read something."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: Json | None = None, *, request_id: str = "") -> Json:
        """Do something; a request that got no answer may be repeated with the same request id."""
        return self._ask("POST", path, body=body, request_id=request_id)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        request_id: str = "",
    ) -> Json:
        again = (
            f"repeat it with --request-id {request_id}" if request_id else "look, then repeat it"
        )
        try:
            answer = self._client.request(method, f"/api/v1{path}", params=params, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(
                f"no daemon answers at {self._url}: {error}",
                f"start it with `{self._start}`, or correct [http] in the configuration",
            ) from error
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the daemon at {self._url} gave no answer: {type(error).__name__} {error};"
                " whether it was done is not known",
                again,
            ) from error
        return _checked(answer, self._url)


def _checked(answer: httpx.Response, url: str) -> Json:
    try:
        content = answer.json()
    except ValueError as error:
        raise Unreachable(
            f"{url} answered {answer.status_code} and no JSON: {answer.text[:80]!r}",
            "see whether another program listens there",
        ) from error
    if not isinstance(content, dict):
        raise Unreachable(f"{url} answered {answer.status_code} and no JSON object", "")
    if answer.is_success:
        return cast("Json", content)
    detail, advice = str(content.get("detail", content)), str(content.get("next", ""))
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        advice = "run `dispensed token create NAME --for-cli`, or give --token"
    raise Failure(detail, advice)


@contextmanager
def daemon_of(ctx: click.Context, token: str | None) -> Iterator[Daemon]:
    """Connect to the daemon of the configuration; raises ConfigError."""
    settings = settings_of(ctx)
    headers = {"Authorization": f"Bearer {_token(settings, token)}"}
    timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    url = settings.http.url
    with httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False) as client:
        yield Daemon(client, url, str(config_path(ctx)))


def _token(settings: Settings, given: str | None) -> str:
    """Return the token that was given, else that of the environment, else that of the file."""
    known = given or os.environ.get(TOKEN_VARIABLE)
    if known:
        return known
    path = settings.state_dir / TOKEN_FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            f"no token: neither --token nor {TOKEN_VARIABLE} is given and {path} cannot be read",
            "run `dispensed token create NAME --for-cli`",
        ) from error
