"""Telling: those who want to know what changed here are sent every event of the change feed, in order."""
