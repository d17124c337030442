"""What the commands do, without a terminal; `gateway/cli.py` only reads the options and prints."""
