"""Conversion of our 150 KB CCD, gate on, against lxml's parse and the serialisation of the same Bundle."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lxml import etree

from bench.transactions import Figure
from gateway.fhir import json
from gateway.translators.ccda import convert

DOCUMENT = Path("fixtures/ccda/bench-ccd-150k.xml")


def measure(rounds: int) -> Iterator[Figure]:
    data = DOCUMENT.read_bytes()
    bundle = convert(data, patient_id="bench").bundle
    ratios, whole = [], []
    for _ in range(rounds):
        floor = seconds(lambda: etree.fromstring(data)) + seconds(lambda: json.encode(bundle))
        took = seconds(lambda: convert(data, patient_id="bench").encoded)
        ratios.append(took / floor)
        whole.append(took)
    ratio = statistics.median(ratios)
    yield Figure("conversion / (parse + serialise), 150 KB", f"{ratio:.2f}", "<= 3", ratio <= 3)
    yield Figure("conversion, ms", f"{statistics.median(whole) * 1e3:.2f}", "")


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """CPU seconds of the best of several runs, so that a busy machine does not decide."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best
