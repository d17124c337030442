"""US states and territories by name -> two letters (USPS Publication 28, Appendix B)."""

from __future__ import annotations

_NAMED = """
Alabama AL|Alaska AK|American Samoa AS|Arizona AZ|Arkansas AR|California CA|Colorado CO|Connecticut CT|Delaware DE
District of Columbia DC|Florida FL|Georgia GA|Guam GU|Hawaii HI|Idaho ID|Illinois IL|Indiana IN|Iowa IA|Kansas KS
Kentucky KY|Louisiana LA|Maine ME|Maryland MD|Massachusetts MA|Michigan MI|Minnesota MN|Mississippi MS|Missouri MO
Montana MT|Nebraska NE|Nevada NV|New Hampshire NH|New Jersey NJ|New Mexico NM|New York NY|North Carolina NC
North Dakota ND|Northern Mariana Islands MP|Ohio OH|Oklahoma OK|Oregon OR|Pennsylvania PA|Puerto Rico PR
Rhode Island RI|South Carolina SC|South Dakota SD|Tennessee TN|Texas TX|Utah UT|Vermont VT|Virgin Islands VI
Virginia VA|Washington WA|West Virginia WV|Wisconsin WI|Wyoming WY
"""
_CODES = {
    name.lower(): code
    for name, _, code in (entry.rpartition(" ") for line in _NAMED.split("\n") for entry in line.split("|") if entry)
}


def find_state(text: str) -> str | None:
    """The two letters of a state written in any usual way; None for what is none."""
    words = " ".join(text.split())
    if len(words) == 2 and words.isascii() and words.isalpha():
        return words.upper()
    return _CODES.get(words.lower())
