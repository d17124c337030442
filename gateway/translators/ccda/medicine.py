"""The product of a substance administration or supply -> `medication[x]` (C-CDA on FHIR, CF-medications)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .context import Context
from .node import Element, Node
from .people import organization
from .values import Value, codeable, identifiers, kept, quantity

_MEDICATION = frozenset(["2.16.840.1.113883.10.20.22.4.23", "2.16.840.1.113883.10.20.22.4.54"])
_DRUGS = ("2.16.840.1.113883.6.88", "2.16.840.1.113883.6.69", "2.16.840.1.113883.12.292")
"""RxNorm, NDC, CVX."""
_PHARM = "{urn:hl7-org:pharm}"
_ACTIVE = {"ACTI": True, "IACT": False}
"""Classes of ingredients: ACTI, ACTIB, ACTIM, ACTIR; IACT."""


def product_of(statement: Node) -> Node | None:
    """Of an administration its consumable, of a supply its product."""
    holder = statement.node("consumable") or statement.node("product")
    return holder.node("manufacturedProduct") if holder else None


def is_medication(supply: Node) -> bool:
    """Whether a supply is one of a medication: its product is a Medication or Immunization Medication Information."""
    product = product_of(supply)
    return product is not None and not _MEDICATION.isdisjoint(product.kinds)


def is_drug(supply: Node) -> bool:
    """Whether the code of its product is one of drugs, where no template tells of what kind it is."""
    code = code_of(product_of(supply))
    return code is not None and code.get("codeSystem") in _DRUGS


def _material(product: Node | None) -> Node | None:
    return (product.node("manufacturedMaterial") or product.node("manufacturedLabeledDrug")) if product else None


def code_of(product: Node | None) -> Element | None:
    material = _material(product)
    return material.get("code") if material else None


def is_named(product: Node | None) -> bool:
    """Whether it says which medication it is."""
    material, code = _material(product), code_of(product)
    has_code = code is not None and (bool(len(code)) or not code.get("nullFlavor"))
    return has_code or bool(material and material.text("name"))


def medication(activity: Node, product: Node | None, ctx: Context) -> Value | None:
    """A Medication of its own where there is more to say than its code (ids, form, manufacturer, vehicle)."""
    material = _material(product)
    code = called(material, ctx) if material else None
    if code is None:
        return None
    more: dict[str, Any] = kept(
        {
            "identifier": identifiers(product.all("id")) if product else None,
            "manufacturer": organization(product.get("manufacturerOrganization"), ctx) if product else None,
            "form": codeable(activity.get("administrationUnitCode"), ctx) or _form(material, ctx),
            "ingredient": [*_ingredients(material, ctx), *_vehicles(activity, ctx)],
            "batch": {"lotNumber": lot} if material and (lot := material.text("lotNumberText")) else None,
        }
    )
    if more and product is not None:
        reference = ctx.add_equal("Medication", {"code": code, **more}, product.element)
        if reference is not None:
            return {"medicationReference": reference}
    return {"medicationCodeableConcept": code}


def called(material: Node, ctx: Context) -> Value | None:
    """Its code; the name by which it is sold as the text of it, where the code has no words of its own."""
    code, name = codeable(material.get("code"), ctx), material.text("name")
    if name is None or (code and ("text" in code or any(one.get("display") == name for one in code["coding"]))):
        return code
    return {**(code or {}), "text": name}


def _form(material: Node | None, ctx: Context) -> Value | None:
    return codeable(material.get(_PHARM + "formCode"), ctx) if material else None


def _ingredients(material: Node | None, ctx: Context) -> Iterator[Value]:
    """What a mixture is made of, and how much of each (HL7 UV Medication Information; HL7's example "Drug Mixture")."""
    for ingredient in material.nodes(_PHARM + "ingredient") if material else ():
        substance, amount = ingredient.node(_PHARM + "ingredientSubstance"), ingredient.node(_PHARM + "quantity")
        name = substance.text(_PHARM + "name") if substance else None
        item = (codeable(substance.get(_PHARM + "code"), ctx) if substance else None) or (
            {"text": name} if name else None
        )
        if item:
            strength = _strength(amount) if amount else None
            active = _ACTIVE.get((ingredient.element.get("classCode") or "")[:4])
            yield kept({"itemCodeableConcept": item, "isActive": active, "strength": strength})


def _strength(amount: Node) -> Value | None:
    numerator, denominator = (quantity(amount.get(_PHARM + part)) for part in ("numerator", "denominator"))
    return {"numerator": numerator, "denominator": denominator} if numerator and denominator else None


def _vehicles(activity: Node, ctx: Context) -> Iterator[Value]:
    """Drug Vehicle: an ingredient that is not active."""
    for participant in activity.nodes("participant"):
        role = participant.node("participantRole")
        entity = role.node("playingEntity") if role and participant.element.get("typeCode") == "CSM" else None
        if entity is not None:
            name = entity.text("name")
            item = codeable(entity.get("code"), ctx) or ({"text": name} if name else None)
            if item:
                yield {"itemCodeableConcept": item, "isActive": False}
