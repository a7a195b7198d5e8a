"""What is known of pairs beside their similarity."""
