"""Candidate documents in, tables, figures and pages out."""
