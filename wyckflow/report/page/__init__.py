"""The report as one page without a network: markup, style and script in one file."""
