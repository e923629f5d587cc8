"""What became of every row, gathered from a work folder by subject, and the page that shows it."""
