"""A finished run for the page, what a program asks of it, and a browser that notes all."""

import http.client
import json
import threading
from contextlib import contextmanager

from mprd.browsing.desk import Desk
from mprd.browsing.server import BrowseServer


@contextmanager
def browsing(folder, apply=lambda: "Applied."):
    """Serve the page of a run in a thread."""
    with BrowseServer(Desk(folder, apply)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    """Return status and text of a request with the token."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    body = json.dumps(body) if isinstance(body, dict) else body
    connection.request(method, f"/{server.token}/{path}", body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(errors="replace")
    connection.close()
    return found


def state(server):
    return json.loads(ask(server, "GET", "state")[1])


def act(server, action, **about):
    """Do an action on what the page shows now, and return the answer."""
    wish = {"action": action, "revision": state(server)["revision"], **about}
    return json.loads(ask(server, "POST", "act", wish)[1])


def clusters(found):
    """Return the sets of rows of a state."""
    groups = {}
    for row, number in enumerate(found["numbers"]):
        groups.setdefault(number, set()).add(row)
    return {number: rows for number, rows in groups.items() if number >= 0}
