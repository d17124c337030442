"""Benchmarks: `make bench`. Ratios are taken within one run; the denominators are fixed scripts of this folder."""
