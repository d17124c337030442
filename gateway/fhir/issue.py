"""Issue: one thing that is wrong or worth knowing, with where and why (FHIR R4 §2.28 OperationOutcome)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """`expression` is a FHIRPath (`Bundle.entry[2].resource.status`) or an XPath; `diagnostics` never holds payload."""

    severity: Severity
    code: str
    diagnostics: str
    expression: str | None = None

    def to_fhir(self) -> dict[str, Any]:
        """OperationOutcome.issue."""
        issue: dict[str, Any] = {"severity": self.severity, "code": self.code, "diagnostics": self.diagnostics}
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The OperationOutcome that says all of them; `information` when there are none, as the resource needs one."""
    listed = [issue.to_fhir() for issue in issues]
    if not listed:
        listed = [Issue("information", "informational", "All OK").to_fhir()]
    return {"resourceType": "OperationOutcome", "issue": listed}
