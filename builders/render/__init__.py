"""Faces whose action units are known, rendered from a CC0 head mesh: a synthetic release with ground truth.

Stands before the way of a face, as the source `rendered`, and beside it, where measurements are calibrated against
what a picture is known to show.
"""

VERSION = 1
"""Counts changes of what a scene looks like or of what its truth means; a calibration names it."""
