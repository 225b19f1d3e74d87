"""A generated Python client: typed, and usable for the calls of a shop."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from domain.verification import file_name
from tests.clients import page
from tests.unit.api.fake_api import Api

TEST = "test_python_client.py"
#: Sends NDJSON with the page's function, and a returned mail with the call that needs the configuration.
MORE = """
import io
from feedback_loops_client.api.reports import report_mail
from feedback_loops_client.models import AcceptedMail
from feedback_loops_client.types import File, Unset
from lines import register_many
from shop import client

answers = register_many(client, [NewMessage(recipient="ann@example.com", id="order-2"), NewMessage(recipient="nobody")])
assert not isinstance(answers[0].links, Unset)
print(answers[0].line, answers[0].id, answers[0].links.additional_properties)
print(answers[1].line, answers[1].status, answers[1].errors)
mail = report_mail.sync(client=client, body=File(io.BytesIO(b"Subject: Undeliverable\\r\\n\\r\\nNo such user")))
assert isinstance(mail, AcceptedMail), mail
print(mail.id)
"""


#: Operations with NDJSON, which generators do not know.
OF_LINES = [
    "POST /v1/messages",
    "PUT /v1/databases/{db}/profiles",
    "POST /v1/events",
    "GET /v1/recipients/{email}",
]


@pytest.fixture(scope="module")
def client(folder: Path) -> Path:
    """The folder with the generated client and the page's programs."""
    (folder / "client.yml").write_text(page.block(TEST, "content_type"))
    output = page.run(page.block(TEST, "openapi-python-client"), folder)
    assert re.findall(r"WARNING parsing (\S+ \S+) within", output) == OF_LINES, output
    (folder / "shop.py").write_text(page.block(TEST, "import os"))
    lines = page.block(TEST, "import json")
    (folder / "lines.py").write_text(lines)
    (folder / "more.py").write_text(f"from feedback_loops_client.models import NewMessage\n{MORE}")
    return folder


@pytest.mark.timeout(200)
def test_the_client_and_its_programs_have_correct_types(client: Path) -> None:
    """mypy finds no error in the generated client, or in the page's programs."""
    page.run("mypy --strict --cache-dir .mypy shop.py lines.py more.py feedback_loops_client", client)


def test_the_client_creates_registers_reports_and_lists(client: Path) -> None:
    """Each call of the page's programs gets the API's answer as a typed value."""

    async def use(api: Api, environment: dict[str, str]) -> None:
        lines = iter(await page.run_program([sys.executable, "more.py"], client, environment))

        ((loop_id, (_, loop)),) = api.client.loops.items()
        assert next(lines) == f"{loop_id} unverified {file_name(loop.verification_token)}"
        assert loop.settings.triggers == ("click", "failure")
        assert next(lines).startswith("https://t.example/c/")
        assert next(lines) == "AcceptedReports(accepted=1, errors=[], additional_properties={})"
        assert next(lines) == "['order-1']"
        assert [next(lines) for _ in page.EVENTS] == [f"{trigger} john@example.com" for trigger in page.EVENTS]
        assert next(lines).startswith("/problems/invalid-input [FieldProblem(pointer='/recipient'")
        assert next(lines) == "1 order-2 {}"
        assert next(lines).startswith("2 422 [FieldProblem(pointer='/recipient'")
        assert next(lines).startswith("rep_")
        page.assert_reported(api, b"No such user", b"Subject: Undeliverable")

    page.with_api(use)
