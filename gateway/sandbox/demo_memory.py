"""What the checks of the demo remember: who the patients are, and how things stood before."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.fhir.json import Resource

from .demo_check import expect
from .demo_inputs import MRN, MRN_SYSTEM, PARTNER_ID, PARTNER_SYSTEM
from .demo_stage import Stage


@dataclass
class Memory:
    """`maria`, `alice`: our ids of the two patients once they are known."""

    stage: Stage
    maria: str = ""
    alice: str = ""

    def only(self, path: str) -> Resource:
        """The one match of a search of ours."""
        found = self.stage.found(path)
        expect(len(found) == 1, f"{path.partition('?')[0][1:]}: {len(found)} found instead of one")
        return found[0]

    def find_maria(self) -> Resource:
        return self.only(f"/Patient?identifier={MRN_SYSTEM}|{MRN}")

    def find_alice(self) -> Resource:
        return self.only(f"/Patient?identifier={PARTNER_SYSTEM}|{PARTNER_ID}")

    def at_registry(self, kind: str, our_id: str) -> list[Resource]:
        """What the FHIR stand-in holds of one of our resources, found by our identifier."""
        return self.stage.at_registry(f"/{kind}?identifier={self.stage.gateway.url}/fhir/{kind}|{our_id}")

    def registry_names(self, our_id: str) -> list[str]:
        """The family names that the FHIR stand-in shows of one of our patients."""
        return [family(patient) for patient in self.at_registry("Patient", our_id)]


def family(patient: Resource) -> str:
    """The family name of the name in use."""
    names: list[Resource] = patient.get("name", [])
    official = [name for name in names if name.get("use") == "official"]
    return str((official or names or [{}])[0].get("family", ""))
