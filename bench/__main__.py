"""`make bench`: all figures of the gateway in one table. `--quick` for a first look, names to choose parts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from bench import (
    conversions,
    convert,
    databases,
    deliveries,
    first_contact,
    folder,
    fsyncs,
    memory,
    reads,
    transactions,
    webhooks,
)
from bench.transactions import Figure

PARTS: dict[str, tuple[Callable[[], Iterator[Figure]], Callable[[], Iterator[Figure]]]] = {
    "convert": (lambda: convert.measure(15), lambda: convert.measure(3)),
    "convert-folder": (lambda: folder.measure(5), lambda: folder.measure(1)),
    "convert-service": (lambda: conversions.measure(20), lambda: conversions.measure(4)),
    "transactions": (lambda: transactions.measure(5, 1000), lambda: transactions.measure(1, 300)),
    "fsyncs": (lambda: fsyncs.measure(1000), lambda: fsyncs.measure(300)),
    "databases": (lambda: databases.measure(1000), lambda: databases.measure(300)),
    "reads": (lambda: reads.measure(10_000), lambda: reads.measure(2000)),
    "first-contact": (lambda: first_contact.measure(100_000), lambda: first_contact.measure(2_000)),
    "webhooks": (lambda: webhooks.measure(30), lambda: webhooks.measure(5)),
    "deliveries": (lambda: deliveries.measure(2000, 100_000), lambda: deliveries.measure(500, 3_000)),
    "memory": (lambda: memory.measure(10_000), lambda: memory.measure(1000)),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("parts", nargs="*", choices=[[], *PARTS], help="which figures; all without")
    options.add_argument("--quick", action="store_true", help="few rounds: a first look, not a measurement")
    asked = options.parse_args()
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"load before the run: {busy:.2f} per core" + (": busy, so only the ratios count" if busy > 0.3 else ""))
    table = Table("figure", "measured", "to reach", "holds")
    for name in asked.parts or PARTS:
        print(f"{name} ...", flush=True)
        for figure in PARTS[name][1 if asked.quick else 0]():
            table.add_row(figure.name, figure.value, figure.target, {True: "yes", False: "NO", None: ""}[figure.holds])
    Console().print(table)


if __name__ == "__main__":
    main()
