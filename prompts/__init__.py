"""What is asked: question templates, versioned by content hash, and the one renderer."""
