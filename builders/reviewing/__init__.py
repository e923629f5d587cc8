"""People look at rows and decide: the log of it, its figures, the page, and the datasets that follow from it."""
