"""Lines for people: levels and categories, the console, the file."""
