"""One module per C-CDA section; each registers the entries it reads. A new section is a new file here."""
