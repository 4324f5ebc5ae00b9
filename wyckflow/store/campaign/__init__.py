"""Campaigns: sent round by round, budgeted, controlled, reported on."""
