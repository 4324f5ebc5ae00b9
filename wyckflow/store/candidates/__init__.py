"""Candidates: joined from the outputs of jobs, asked for, explained."""
