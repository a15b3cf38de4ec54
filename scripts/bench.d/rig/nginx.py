"""nginx as the target: one worker on a core of its own, which answers every call at once with what was recorded."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.cores import SERVER, pinned
from rig.exchanges import Recording

CONFIG = """
master_process off;
daemon off;
pid PLACE/pid;
error_log PLACE/error.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  client_max_body_size 16m;
  client_body_temp_path PLACE/body; proxy_temp_path PLACE/proxy; fastcgi_temp_path PLACE/fastcgi;
  uwsgi_temp_path PLACE/uwsgi; scgi_temp_path PLACE/scgi;
  map_hash_bucket_size 256;
  map $http_soapaction $answer {
    ANSWERS
  }
  server {
    listen 127.0.0.1:PORT backlog=4096;
    location / { default_type "text/xml; charset=utf-8"; return 200 $answer; }
  }
}
"""


@contextmanager
def serving(recording: Recording, place: Path) -> Iterator[str]:
    """Serve in `place` for as long as the block lasts; gives the address of the service."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    answers = [f"{_quoted(each.action)} {_quoted(each.answer.decode())};" for each in recording.exchanges.values()]
    text = CONFIG.replace("PLACE", str(place)).replace("PORT", str(port)).replace("ANSWERS", "\n    ".join(answers))
    (place / "nginx.conf").write_text(text)
    command = [*pinned(SERVER), "nginx", "-p", str(place), "-c", str(place / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    os.sched_yield()
            else:
                assert process.stderr is not None
                raise SystemExit(f"nginx does not start: {process.stderr.read()}")
            yield f"http://127.0.0.1:{port}/onc.svc"
        finally:
            process.terminate()


def _quoted(text: str) -> str:
    assert "$" not in text, "nginx would take it for a variable"
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
