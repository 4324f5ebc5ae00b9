"""A MongoDB server that lives in a folder of its project."""
