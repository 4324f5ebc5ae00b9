"""What a report shows, gathered from the database."""
