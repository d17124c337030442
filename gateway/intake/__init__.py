"""Intake: what systems send, tell or hold, on its way to `Flow`: documents, events, polls, runs and first contacts."""
