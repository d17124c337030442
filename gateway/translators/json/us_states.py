"""The states and territories of the USA (FIPS 5-2): by their two letters or by name, and who licenses drivers there.

Identifier systems of licences: HL7 OID registry, 2.16.840.1.113883.4.3.{FIPS number}.
"""

from __future__ import annotations

_TABLE = """
AL 1 Alabama|AK 2 Alaska|AZ 4 Arizona|AR 5 Arkansas|CA 6 California|CO 8 Colorado|CT 9 Connecticut|DE 10 Delaware
DC 11 District of Columbia|FL 12 Florida|GA 13 Georgia|HI 15 Hawaii|ID 16 Idaho|IL 17 Illinois|IN 18 Indiana|IA 19 Iowa
KS 20 Kansas|KY 21 Kentucky|LA 22 Louisiana|ME 23 Maine|MD 24 Maryland|MA 25 Massachusetts|MI 26 Michigan
MN 27 Minnesota|MS 28 Mississippi|MO 29 Missouri|MT 30 Montana|NE 31 Nebraska|NV 32 Nevada|NH 33 New Hampshire
NJ 34 New Jersey|NM 35 New Mexico|NY 36 New York|NC 37 North Carolina|ND 38 North Dakota|OH 39 Ohio|OK 40 Oklahoma
OR 41 Oregon|PA 42 Pennsylvania|RI 44 Rhode Island|SC 45 South Carolina|SD 46 South Dakota|TN 47 Tennessee|TX 48 Texas
UT 49 Utah|VT 50 Vermont|VA 51 Virginia|WA 53 Washington|WV 54 West Virginia|WI 55 Wisconsin|WY 56 Wyoming
AS 60 American Samoa|GU 66 Guam|MP 69 Northern Mariana Islands|PR 72 Puerto Rico|VI 78 Virgin Islands
"""
_ROWS = [row.split(" ", 2) for row in _TABLE.strip().replace("\n", "|").split("|")]

LICENSE_SYSTEMS = {letters: f"urn:oid:2.16.840.1.113883.4.3.{number}" for letters, number, _ in _ROWS}
"""State -> identifier system of its drivers' licences."""

_BY_NAME = {name.lower(): letters for letters, _, name in _ROWS}


def find_state(text: str) -> str | None:
    """The two letters of a state, by them or by its name; None for what is no state."""
    folded = text.strip()
    return folded.upper() if folded.upper() in LICENSE_SYSTEMS else _BY_NAME.get(folded.lower())
