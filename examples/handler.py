"""A handler in one file, with only Python's standard library: checks the signature, drops repeats, reads the event.

FEEDBACK_LOOP_SECRET=whsec_… python handler.py 9000

The loop's URL is then http://127.0.0.1:9000/. Put its verification file next to this script.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

KEY = base64.b64decode(os.environ["FEEDBACK_LOOP_SECRET"].removeprefix("whsec_"))
FOLDER = Path(__file__).parent
#: The same event may come twice, with the same id. A real handler uses a table with a unique column.
seen = set()
if not KEY:
    sys.exit("FEEDBACK_LOOP_SECRET must be the loop's secret, whsec_…")


def signature_is_good(headers, body):
    """Standard Webhooks 1.0: HMAC-SHA256 over id, time and body. After a rotation, there are several signatures."""
    # Bytes, because text with non-ASCII characters cannot be compared in constant time.
    message_id, timestamp, signatures = (
        headers.get(name, "").encode("latin-1") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    # An old POST may be a replay of a recorded one.
    if not re.fullmatch(rb"[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > 300:
        return False
    signed = b".".join([message_id, timestamp, body])
    expected = b"v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256))
    return any(hmac.compare_digest(expected, given) for given in signatures.split(b" "))


def read_event(content_type, body):
    """Returns the event's fields, or None if the body is not an event.

    Both formats give the same fields: event["tags"] is ["spring", "newsletter"].
    """
    try:
        if content_type.startswith("application/json"):
            event = json.loads(body)
        else:
            fields = parse_qs(body.decode(), keep_blank_values=True)
            event = {name.removesuffix("[]"): v if name.endswith("[]") else v[0] for name, v in fields.items()}
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def summary(event):
    """What happened to whom, and what to do about it. A real handler does it, or puts it into a queue."""
    kind, who, advice = event.get("type"), event.get("recipient", "nobody"), ""
    if kind in ("create", "update", "delete"):
        who = f"profile {event.get('database')}/{event.get('profile')}"
    elif kind in ("abuse", "unsubscribe"):
        advice = ": send this person nothing more"
    elif kind in ("bounce", "failure"):
        # Other permanent failures, such as a policy of the receiving server, are not the address's fault.
        is_gone = str(event.get("permanent")) == "1" and event.get("category") in ("address", "domain")
        advice = ": this address does not work" if is_gone else ""
    return f"{event.get('timestamp')} {kind} {who}{advice}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        """Serves the verification file, which verification requests, and no other file in the folder."""
        name = self.path.rpartition("/")[2]
        is_there = re.fullmatch(r"feedback-loops-[0-9a-f]+\.txt", name) and (FOLDER / name).is_file()
        self.answer(200 if is_there else 404, (FOLDER / name).read_bytes() if is_there else b"not found")

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,8}", length):
            self.answer(411, b"Content-Length is missing")
            return
        body = self.rfile.read(int(length))
        if not signature_is_good(self.headers, body):
            self.answer(401, b"invalid signature")
            return
        event = read_event(self.headers.get("Content-Type", ""), body)
        if event is None:
            self.answer(400, b"not an event")
            return
        if event["event"] not in seen:
            print(summary(event), flush=True)
            seen.add(event["event"])
        self.answer(200, b"thank you")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
