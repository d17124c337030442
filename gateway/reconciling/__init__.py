"""Reconciling: a system's copies compared with what they should hold, and made so (the fourth step of `Flow`)."""
