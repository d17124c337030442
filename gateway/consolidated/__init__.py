"""Consolidated: all that is known of one patient, as one Bundle, a page to read, or a PDF."""
