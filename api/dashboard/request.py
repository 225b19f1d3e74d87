"""A page of the dashboard, declared: its path, what makes it, and who may see it; and one visit to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.users import Session
from api.dashboard.forms import Form
from api.dashboard.render import Renderer
from api.http.operation import Services
from api.http.response import Reply

ROOT: Final = "/dashboard"
HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request that was let in, with all of it that pages look at."""

    services: Services
    renderer: Renderer
    #: None on pages for everybody.
    session: Session | None
    #: SHA-256 of the session's token.
    token_hash: str
    #: What every form of the session sends back.
    csrf: str
    path: Mapping[str, str]
    query: Form
    form: Form
    headers: Headers
    #: Where from, behind proxies or not.
    address: str
    is_https: bool

    @property
    def account(self) -> Account:
        """The account whose user is here."""
        if self.session is None:
            raise RuntimeError("a page for everybody asked for the account")
        return self.session.user.account

    @property
    def is_fragment(self) -> bool:
        """Whether a part of a page is wanted (htmx)."""
        return self.headers.get("hx-request") == "true"

    async def call(self, command: Command[Any]) -> Any:
        """Has the actors carry a command out."""
        return await self.services.client.call(command)

    def html(self, template: str, status: int = 200, **values: Any) -> Reply:
        """The template with these values, and what every page has."""
        shown = {"visit": self, "csrf": self.csrf, "session": self.session, **values}
        return Reply(status=status, body=self.renderer.render(template, shown), content_type=HTML)


def see_other(path: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """The answer to a form that did its work: the page to look at now."""
    return Reply(status=303, content_type=HTML, headers=(("Location", path), *headers))


Handler = Callable[[Visit], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is at a path below `ROOT`, for one method."""

    method: str
    #: With `{name}` for a part that is a parameter.
    path: str
    handler: Handler
    #: Whether nobody needs to be signed in.
    is_open: bool = False
