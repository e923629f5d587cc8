"""Decode check, crop and hash on every kind of picture file that lies around in releases."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ferbuild.builders import images
from ferbuild.manifests.schema import Picture

LIMIT = 60_000_000


def scene(mode: str = "RGB") -> Image.Image:
    rows, columns = np.mgrid[0:40, 0:60]
    rgb = np.dstack([rows * 6, columns * 4, rows + columns]).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "1"), ("JPEG", "RGB"), ("JPEG", "L"),
     ("JPEG", "CMYK"), ("BMP", "RGB"), ("GIF", "P"), ("TIFF", "RGB"), ("WEBP", "RGB")],
)  # fmt: skip
def test_every_mode_becomes_rgb(kind, mode):
    pixels = images.decode(saved(scene(mode), kind), max_pixels=LIMIT)
    assert (pixels.shape, pixels.dtype) == ((40, 60, 3), np.uint8)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    deep = Image.fromarray(np.linspace(0, 65535, 2400, dtype=np.uint16).reshape(40, 60))
    pixels = images.decode(saved(deep, "PNG"), max_pixels=LIMIT)
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255
    assert 120 < pixels[20, 0, 0] < 135


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert images.decode(saved(scene(), "JPEG", exif=exif), max_pixels=LIMIT).shape == (60, 40, 3)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [scene().convert("P"), Image.new("P", (60, 40))]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(data, max_pixels=LIMIT).shape == (40, 60, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_file_cut_at_every_tenth_is_a_fault(kind):
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = saved(noisy, kind)
    for tenth in range(1, 10):
        with pytest.raises(images.PictureError) as caught:
            images.decode(data[: len(data) * tenth // 10], max_pixels=LIMIT)
        assert caught.value.reason in ("truncated", "unreadable")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty file"), (b"no picture at all", "unreadable"), (b"\xff\xd8\xff" + b"\0" * 50, "unreadable")],
)
def test_what_is_no_picture_is_a_fault(data, reason):
    with pytest.raises(images.PictureError) as caught:
        images.decode(data, max_pixels=LIMIT)
    assert caught.value.reason == reason


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    bomb = saved(Image.new("1", (30_000, 30_000)), "PNG")
    with pytest.raises(images.PictureError) as caught:
        images.decode(bomb, max_pixels=LIMIT)
    assert (caught.value.reason, caught.value.detail) == ("too many pixels", "900000000 pixels")


def test_without_a_box_the_file_passes_through_untouched():
    data = saved(scene(), "JPEG")
    cut = images.cut(data, images.decode(data, max_pixels=LIMIT), None, Picture())
    assert (cut.data, cut.suffix, cut.crop) == (data, ".jpeg", None)


def test_a_box_is_clipped_to_the_picture():
    data = saved(scene(), "PNG")
    pixels = images.decode(data, max_pixels=LIMIT)
    cut = images.cut(data, pixels, [-5, 10, 30, 900], Picture(crop_format="png"))
    assert cut.crop == [0.0, 10.0, 30.0, 40.0]
    assert np.array_equal(images.decode(cut.data, max_pixels=LIMIT), pixels[10:40, 0:30])


@pytest.mark.parametrize("box", [[70, 0, 90, 20], [10, 10, 10, 30], [30, 30, 10, 10]])
def test_a_box_with_nothing_inside_is_a_fault(box):
    data = saved(scene(), "PNG")
    with pytest.raises(images.PictureError, match="box outside the picture"):
        images.cut(data, images.decode(data, max_pixels=LIMIT), box, Picture())


def test_the_pixel_hash_sees_pixels_not_files():
    png, bmp = (images.decode(saved(scene(), kind), max_pixels=LIMIT) for kind in ("PNG", "BMP"))
    assert images.pixel_hash(png) == images.pixel_hash(bmp)
    assert images.pixel_hash(png) != images.pixel_hash(png[::-1])
    assert images.pixel_hash(png.reshape(60, 40, 3)) != images.pixel_hash(png)
