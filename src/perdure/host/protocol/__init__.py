"""What host and worker say to one another."""
