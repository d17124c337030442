"""`python -m gateway.sandbox NAME --port N`: one stand-in in a process of its own."""

from __future__ import annotations

import argparse

from gateway.sandbox import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.sandbox", description="Run a stand-in system on loopback.")
    parser.add_argument("name", choices=serve.names())
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    serve.run([serve.create(chosen.name)], chosen.port)


if __name__ == "__main__":
    main()
