"""What is kept and why: one function a check, each returning None or its drop reason."""
