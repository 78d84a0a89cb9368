"""Worker processes as the host sees them: start, give work, watch, replace;."""
