"""The service's API, listening on a port of its own, as clients fetch keys from it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import make_server

from api.app import create_app
from application.service import Service
from application.settings import Settings
from ops.ports import free_port
from projections.views import Views


class ListeningApi:
    """Where it listens, and how often which path was called. It can be stopped and started again."""

    def __init__(self, service: Service, settings: Settings, views: Views) -> None:
        self.calls: Counter[str] = Counter()
        self._app = create_app(settings, service, views, None)
        self._port = free_port()
        self.inbox_key = f"http://127.0.0.1:{self._port}/v1/inbox-key"
        self._server: Any = None

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self._port, self._counted, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _counted(self, environ: Any, start_response: Any) -> Any:
        self.calls[environ["PATH_INFO"]] += 1
        return self._app(environ, start_response)


@contextmanager
def listening(service: Service, settings: Settings) -> Iterator[ListeningApi]:
    views = Views(settings.views_dsn)
    api = ListeningApi(service, settings, views)
    api.start()
    yield api
    api.stop()
    views.close()
