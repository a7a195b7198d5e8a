"""What people look at: tables and artifacts."""
