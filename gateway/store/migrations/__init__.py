"""Alembic's scripts: `env.py` and one module per revision."""
