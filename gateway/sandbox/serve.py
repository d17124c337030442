"""Start and stop a stand-in on loopback: in a thread, or in a process of its own (`python -m gateway.sandbox`)."""

from __future__ import annotations

import importlib
import pkgutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType

import uvicorn

import gateway.sandbox
from gateway.errors import InvalidInput, PartnerUnavailable
from gateway.sandbox.faults import Sandbox

_START_TIMEOUT = 20.0
_HOST = "127.0.0.1"


def names() -> list[str]:
    """The stand-ins there are: every module here with a function `create`; the demo's parts only play with them."""
    found = (info.name for info in pkgutil.iter_modules(gateway.sandbox.__path__))
    return sorted(
        name for name in found if not name.startswith(("_", "demo", "serve")) and hasattr(_module(name), "create")
    )


def create(name: str) -> Sandbox:
    """A stand-in by name. Raises InvalidInput that lists what there is."""
    if name not in names():
        raise InvalidInput(f"no stand-in is called {name!r}: there are {', '.join(names())}")
    app: Sandbox = _module(name).create()
    return app


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"gateway.sandbox.{name}")


@contextmanager
def running(app: Sandbox, port: int = 0) -> Iterator[str]:
    """Its address while it runs in a thread; `port` 0 = any free one."""
    with socket.create_server((_HOST, port)) as listener:
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield f"http://{_HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def run(apps: Sequence[Sandbox], port: int) -> None:
    """Serve in this process until it is told to stop, each on a port of its own from `port` on."""
    with ExitStack() as others:
        for place, app in enumerate(apps[1:], start=1):
            others.enter_context(running(app, port + place))
        config = _config(apps[0])
        config.host, config.port = _HOST, port
        uvicorn.Server(config).run()


def _config(app: Sandbox) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    waited = 0.0
    pause = threading.Event()
    while not server.started:
        waited += 0.01
        if waited > _START_TIMEOUT or not thread.is_alive():
            raise PartnerUnavailable("the stand-in did not start")
        pause.wait(0.01)
