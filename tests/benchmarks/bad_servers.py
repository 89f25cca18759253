"""MLflow servers in trouble, in a process of their own: `python bad_servers.py KIND` prints its port and serves until its
standard input ends. `well` and `slow` answer what an empty MLflow would.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUN = {"info": {"run_id": "1", "experiment_id": "1", "artifact_uri": "/nowhere"}, "data": {}}
ANSWERS = {
    "get-by-name": {"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}},
    "search": {"runs": []}, "create": {"run": RUN}, "get": {"run": RUN}, "update": {"run_info": RUN["info"]},
}  # fmt: skip
STATUSES = {"500": 500, "429": 429, "413": 413, "401": 401, "full": 500}
FULL = {"error_code": "INTERNAL_ERROR", "message": "(sqlite3.OperationalError) database or disk is full"}


class Handler(BaseHTTPRequestHandler):
    """What becomes of a request is said by the server's `kind`."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.server.kind  # type: ignore[attr-defined]
        if kind == "hanging":
            threading.Event().wait()
        elif kind == "closing":
            self.close_connection = True
        elif kind in STATUSES:
            self.send(STATUSES[kind], FULL if kind == "full" else {})
        else:
            if kind == "slow":
                time.sleep(2)
            self.send(200, ANSWERS.get(self.path.partition("?")[0].rpartition("/")[2], {}))

    do_GET = do_POST = do_PATCH = do_PUT = answer

    def send(self, status: int, said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.kind = sys.argv[1]  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
