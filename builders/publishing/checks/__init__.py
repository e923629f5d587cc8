"""What a dataset folder can be held to, by itself: one function a check, one module a group of them."""
