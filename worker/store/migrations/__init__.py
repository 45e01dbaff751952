"""Alembic's scripts: the one way in which the schema comes to be."""
