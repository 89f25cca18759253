"""The embedded store: journals that processes append to, an index made from them, and the records that are read."""
