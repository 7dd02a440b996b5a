"""A receiver of webhooks that is not ours: Python's HTTPS server, and the standardwebhooks library of PyPI to verify with.

Usage: receiver.py CERTIFICATE KEY. It says `port N`, then a line of JSON for each message: what it was, what the library says
of it, and what the library says of it altered or old. Told on its input: `secret whsec_...` (one more to verify with),
`answer 503` (from now on).
"""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

STATE = {"answer": 204}
SECRETS = []
OUTPUT = threading.Lock()


def say(line):
    """One line, whole, whichever threads have something to say."""
    with OUTPUT:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def verdict(secret, body, headers):
    """What the library says: nothing where all is well."""
    try:
        Webhook(secret).verify(body, headers)
        return None
    except WebhookVerificationError as error:
        return str(error)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = dict(self.headers.items())
        lower = {name.lower(): value for name, value in headers.items()}
        another_id = {**lower, "webhook-id": lower["webhook-id"] + "x"}
        old = {**lower, "webhook-timestamp": str(int(lower["webhook-timestamp"]) - 3600)}
        with_unknown = SECRETS + ["whsec_" + "A" * 43 + "="]
        seen = {
            "id": lower["webhook-id"],
            "timestamp": int(lower["webhook-timestamp"]),
            "signatures": len(lower["webhook-signature"].split()),
            "signature": lower["webhook-signature"],
            "path": self.path,
            "raw": body.decode(),
            "body": json.loads(body),
            "verdicts": [verdict(secret, body, headers) for secret in with_unknown],
            "altered": verdict(SECRETS[-1], body.replace(b"site_id", b"site_ix"), headers),
            "another_id": verdict(SECRETS[-1], body, another_id),
            "old": verdict(SECRETS[-1], body, old),
            "answered": STATE["answer"],
        }
        self.send_response(STATE["answer"])
        self.send_header("content-length", "0")
        self.end_headers()
        say(json.dumps(seen))

    def log_message(self, *_):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(f"port {server.server_port}")
    for line in sys.stdin:
        word, value = line.split()
        if word == "secret":
            SECRETS.append(value)
        else:
            STATE["answer"] = int(value)
        say(f"done {word}")


main()
