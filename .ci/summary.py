"""The end of a CI run: what could not run and the command that enables it, then how many tests passed.

Exit status 1 if anything was left out, or if a suite wrote no report.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

SUITES = {"test": "make test", "test-system": "make test-system"}


def left_out(suite: ElementTree.Element) -> Counter[str]:
    """Reasons of skipped tests; a skip's reason names the command that enables it."""
    reasons: Counter[str] = Counter()
    for case in suite.iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None and skipped.get("type") != "pytest.xfail":
            reasons[skipped.get("message") or "no reason given"] += 1
    return reasons


def main(folder: Path) -> int:
    totals: Counter[str] = Counter()
    missing: list[tuple[str, str]] = []
    for name, command in SUITES.items():
        report = folder / f"{name}.xml"
        if not report.exists():
            missing.append((f"{name}: no report was written", command))
            continue
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            totals.update({key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")})
            missing += [(f"{name}: {count} skipped", reason) for reason, count in left_out(suite).items()]
    print("\n=== what could not run, and what enables it")
    for what, enabled_by in missing or [("nothing was left out", "")]:
        print(f"{what:<40} {enabled_by}")
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - totals["skipped"]
    print(f"\n{passed} passed, {failed} failed, {totals['skipped']} skipped")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
