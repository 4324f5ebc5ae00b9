"""Campaigns and candidates to files, and back."""
