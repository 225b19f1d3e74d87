"""Declaration of a dashboard page, and a request for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.loops import GetLoop, Loop
from actors.commands.users import Session
from api.dashboard.forms import Form
from api.dashboard.render import Renderer
from api.http.operation import Services
from api.http.response import Response

ROOT: Final = "/dashboard"
HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One permitted request, with everything that pages need of it."""

    services: Services
    renderer: Renderer
    #: None on public pages.
    session: Session | None
    #: SHA-256 of the session's token.
    token_hash: str
    #: The CSRF token that every form of the session contains.
    csrf: str
    path: Mapping[str, str]
    query: Form
    form: Form
    headers: Headers
    #: The client's address, behind proxies or not.
    address: str
    is_https: bool

    @property
    def account(self) -> Account:
        """The signed-in user's account."""
        if self.session is None:
            raise RuntimeError("a public page asked for the account")
        return self.session.user.account

    @property
    def is_fragment(self) -> bool:
        """Whether the request is for part of a page (htmx)."""
        return self.headers.get("hx-request") == "true"

    async def call(self, command: Command[Any]) -> Any:
        """Calls the actors with a command and returns its result."""
        return await self.services.client.call(command)

    async def loop(self) -> Loop:
        """The account's feedback loop that the path names as `{id}`."""
        return await self.services.client.call(GetLoop(account=self.account, loop_id=self.path["id"]))

    def html(self, template: str, status: int = 200, **values: Any) -> Response:
        """Renders the template with these values and those that every page needs."""
        shown = {"visit": self, "csrf": self.csrf, "session": self.session, **values}
        return Response(status=status, body=self.renderer.render(template, shown), content_type=HTML)


def see_other(path: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Redirects to the page to show after a successful form."""
    return Response(status=303, content_type=HTML, headers=(("Location", path), *headers))


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One method of a path below `ROOT`."""

    method: str
    #: `{name}` marks a parameter.
    path: str
    handler: Handler
    #: Whether it can be seen without signing in.
    is_open: bool = False
