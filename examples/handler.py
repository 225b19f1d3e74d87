"""A handler in one file, with Python's standard library alone: checks the signature, drops repeats, reads the event.

FEEDBACK_LOOP_SECRET=whsec_… python handler.py 9000

The loop's URL is then http://127.0.0.1:9000/. Put its verification file beside this script.
"""

import base64
import hashlib
import hmac
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

KEY = base64.b64decode(os.environ["FEEDBACK_LOOP_SECRET"].removeprefix("whsec_"))
FOLDER = Path(__file__).parent
#: The same event may come twice, with the same id. Of a real handler: a table with a unique column, which outlives it.
seen = set()


def signature_is_good(headers, body):
    """Standard Webhooks 1.0: HMAC-SHA256 over id, time and body; several signatures while a secret rotates."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    # An old POST may be one that somebody recorded and sends again.
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > 300:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    return any(hmac.compare_digest(expected, given) for given in headers.get("webhook-signature", "").split(" "))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        """The verification file, asked for when the loop is verified, and nothing else of the folder."""
        name = self.path.rpartition("/")[2]
        is_there = re.fullmatch(r"feedback-loops-[0-9a-f]+\.txt", name) and (FOLDER / name).is_file()
        self.answer(200 if is_there else 404, (FOLDER / name).read_bytes() if is_there else b"not here")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not signature_is_good(self.headers, body):
            self.answer(401, b"the signature is not good")
            return
        # Lists have several values under one name: fields["tags[]"] == ["spring", "newsletter"].
        fields = parse_qs(body.decode())
        (event,) = fields["event"]
        if event not in seen:
            print(*fields["timestamp"], *fields["type"], *fields.get("recipient", []), flush=True)
            seen.add(event)
        self.answer(200, b"thank you")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
