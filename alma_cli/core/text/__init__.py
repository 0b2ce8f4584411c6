"""What a single text is: its characters, its language, loops in it, and what of it must survive translation."""
