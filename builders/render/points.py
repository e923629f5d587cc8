"""Vertex numbers of the base mesh at which the ground truth of points is read.

Stands beside `truth`. Found once by projecting the vertices of a face at rest under the mesh points of its render,
then checked by eye; they are numbers of the package's base mesh.
"""

from __future__ import annotations

LIP_EDGES = (
    ((474, 520), (493, 494, 523)),
    ((472, 522), (487, 488, 517)),
    ((7228, 7268), (7242, 7243, 7264)),
)
"""Places across the mouth: vertices of the upper and of the lower lip that touch when it is closed."""

LANDMARKS = (
    *(5237, 5186, 5092, 869, 5241, 5298, 5223, 5292, 5296),  # rim of the face, down to the chin
    *(11898, 11833, 11903, 11850, 7574, 11707, 11798, 11846),  # and up
    *(255, 225, 224, 205, 208, 6983, 6980, 6998, 6999, 7024),  # brows
    *(132, 131, 291, 5054, 286, 314, 317, 7077, 7055),  # nose
    *(28, 6, 54, 73, 47, 41, 6857, 6838, 6790, 6812, 6825, 6831),  # eyes
    *(424, 5351, 460, 466, 7219, 11953, 7184, 7239, 7245, 496, 490, 484),  # outer lips
    *(416, 472, 474, 7228, 7176, 7243, 494, 488),  # inner lips
)
"""The 68 points in the iBUG order, the picture's left first."""
