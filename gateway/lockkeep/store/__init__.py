"""Where everything is kept: one SQLite file, one writer, numbered migrations, and the only SQL there is."""

from lockkeep.store.sqlite import Row, Store, Tx, reading, reading_any, whole

__all__ = ["Row", "Store", "Tx", "reading", "reading_any", "whole"]
