"""Stand-ins of the partners' systems: real servers on loopback, with a log of what they received and fault knobs."""
