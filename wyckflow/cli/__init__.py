"""The ``wyckflow`` command: parse, call, print."""
