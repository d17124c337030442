"""C-CDA -> FHIR R4. Pure: bytes in, a Bundle, issues and a report out; never a file, never the network."""

from .convert import Converted, convert

__all__ = ["Converted", "convert"]
