"""What is recorded: events, the run handle that makes them, and how anything becomes bounded plain data."""
