"""Hostile documents: how they are made, what must hold for every one of them, and the search for one where it fails."""
