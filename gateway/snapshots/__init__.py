"""Snapshots: point-in-time extracts for analysts."""

from .extract import Progress, write
from .folder import File, Manifest

__all__ = ["File", "Manifest", "Progress", "write"]
