"""Decode check, crop and hash on every kind of picture file that lies around in releases."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from ferbuild.builders import images, jpeg
from ferbuild.builders.ends import ends_early
from ferbuild.manifests.recipe import Picture

LIMIT = 60_000_000


def scene(mode: str = "RGB") -> Image.Image:
    rows, columns = np.mgrid[0:40, 0:60]
    rgb = np.dstack([rows * 6, columns * 4, rows + columns]).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def noisy(height: int = 64, width: int = 64, seed: int = 0) -> Image.Image:
    """Return smooth colours with grain: every JPEG coefficient and chroma sample counts."""
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(0, 255, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8))
    grain = chance.integers(-20, 20, (height, width, 3))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


@pytest.fixture
def no_pillow(monkeypatch):
    """Pillow must not be asked: what is decoded is decoded by libjpeg-turbo alone."""

    def refuse(*_args, **_options):
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(Image, "open", refuse)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """Put a segment behind the first marker of a JPEG."""
    return data[:2] + segment(marker, body) + data[2:]


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


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    quality=st.integers(1, 100),
    sampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0", "4:1:1"]),
    grey=st.booleans(),
    progressive=st.booleans(),
    restart=st.integers(0, 3),
    seed=st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_a_jpeg_has_pillows_very_pixels(height, width, quality, sampling, grey, progressive, restart, seed):
    picture = noisy(height, width, seed)
    how = {"quality": quality, "progressive": progressive, "restart_marker_blocks": restart}
    before, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, 1 << 18  # Pillow guesses too small a buffer for the smallest
    try:
        data = (
            saved(picture.convert("L"), "JPEG", **how) if grey else saved(picture, "JPEG", subsampling=sampling, **how)
        )
    finally:
        ImageFile.MAXBLOCK = before
    fast = jpeg.pixels(data)
    assert fast is not None and np.array_equal(fast, pillow(data))
    assert np.array_equal(images.decode(data, max_pixels=LIMIT), fast)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_ordinary_jpeg_needs_no_pillow(mode, no_pillow):
    data = saved(scene(mode), "JPEG")
    assert images.decode(data, max_pixels=LIMIT).shape == (40, 60, 3)
    assert images.decode(data + b"and more", max_pixels=LIMIT).shape == (40, 60, 3)


def test_what_only_pillow_can_read_is_left_to_it():
    inks = saved(noisy().convert("CMYK"), "JPEG")
    stray = saved(noisy(), "JPEG")
    stray = stray[:-2] + b"\0\0\0" + stray[-2:]  # bytes too many before the end marker
    scan = jpeg.head(stray).scan
    wrong = bytearray(saved(noisy(), "JPEG"))
    wrong[scan + 300] ^= 0x10  # other numbers, and perhaps no code at all
    for data in (inks, stray, bytes(wrong)):
        assert np.array_equal(images.decode(data, max_pixels=LIMIT), pillow(data))
    assert not jpeg.head(inks).ordinary and jpeg.pixels(stray) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_rotation_is_as_pillow_turns_it(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(noisy(24, 40), kind, exif=exif)
    assert np.array_equal(images.decode(data, max_pixels=LIMIT), pillow(data))
    assert images.decode(data, max_pixels=LIMIT).shape == ((40, 24, 3) if orientation in range(5, 9) else (24, 40, 3))


def test_xmp_and_big_endian_exif_turn_a_jpeg_too():
    plain = saved(noisy(24, 40), "JPEG")
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    for body in (xmp, exif):
        data = with_segment(plain, 0xE1, body)
        turned = images.decode(data, max_pixels=LIMIT)
        assert np.array_equal(turned, np.rot90(pillow(plain), -1)) and turned.flags.c_contiguous


@pytest.mark.parametrize(
    "body", [b"Exif\0\0" + b"\x01\x12" * 40, b"Exif\0\0MM\0*\xff\xff\xff\xff\x01\x12", b"\x12\x01"]
)
@pytest.mark.filterwarnings("error")
def test_metadata_that_cannot_be_read_costs_no_picture(body):
    plain = saved(noisy(24, 40), "JPEG")
    for data in (with_segment(plain, 0xE1, body), with_segment(saved(scene("CMYK"), "JPEG"), 0xE1, body)):
        assert images.decode(data, max_pixels=LIMIT).ndim == 3
    assert np.array_equal(images.decode(with_segment(plain, 0xE1, body), max_pixels=LIMIT), pillow(plain))


CUT = {
    "JPEG": saved(noisy(), "JPEG"),
    "JPEG progressive": saved(noisy(), "JPEG", progressive=True),
    "JPEG CMYK": saved(noisy().convert("CMYK"), "JPEG"),
    "PNG": saved(noisy(), "PNG"),
    "PNG palette": saved(noisy().convert("P"), "PNG"),
    "WEBP": saved(noisy(), "WEBP"),
    "WEBP lossless": saved(noisy(), "WEBP", lossless=True),
    "GIF": saved(noisy(), "GIF"),
    "BMP": saved(noisy(), "BMP"),
    "TIFF": saved(noisy(), "TIFF"),
    "TIFF LZW": saved(noisy(), "TIFF", compression="tiff_lzw"),
    "TIFF deflate": saved(noisy(), "TIFF", compression="tiff_adobe_deflate"),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_file_cut_at_every_tenth_is_truncated(kind):
    data = CUT[kind]
    for tenth in range(1, 10):
        with pytest.raises(images.PictureError) as caught:
            images.decode(data[: len(data) * tenth // 10], max_pixels=LIMIT)
        assert caught.value.reason == "truncated", tenth


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_an_animation_cut_behind_its_first_frame_is_whole_or_truncated(kind):
    data = saved(noisy(), kind, save_all=True, append_images=[noisy(seed=1), noisy(seed=2)])
    first, whole = images.decode(data, max_pixels=LIMIT), 0
    for tenth in range(1, 10):
        try:
            assert np.array_equal(images.decode(data[: len(data) * tenth // 10], max_pixels=LIMIT), first)
            whole += 1
        except images.PictureError as err:
            assert err.reason == "truncated"
    assert whole == {"PNG": 6, "GIF": 6, "WEBP": 0}[kind]


@pytest.mark.parametrize("kind", ["JPEG", "JPEG progressive", "JPEG CMYK", "PNG", "BMP", "TIFF"])
def test_what_there_is_of_a_cut_file_can_be_had(kind):
    data = CUT[kind][: len(CUT[kind]) * 6 // 10]
    full = images.decode(CUT[kind], max_pixels=LIMIT)
    part = images.decode(data, max_pixels=LIMIT, whole=False)
    same = (part == full).all((1, 2))  # rows; progressive scans refine all of them, and BMP begins with the last
    assert part.shape == full.shape and not same.all()
    assert kind == "JPEG progressive" or same.sum() >= 8
    with pytest.raises(images.PictureError, match="truncated"):  # the switch is off again
        images.decode(data, max_pixels=LIMIT)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_marker_is_truncated(missing):
    with pytest.raises(images.PictureError, match="truncated"):
        images.decode(saved(noisy(), "JPEG")[:-missing], max_pixels=LIMIT)


def test_decoders_say_nothing_to_the_user(capfd):
    data = bytearray(saved(noisy().convert("1"), "TIFF", compression="group4"))
    data[40:60] = b"\xa5" * 20
    images.decode(bytes(data), max_pixels=LIMIT)
    for kind in ("TIFF deflate", "TIFF LZW"):
        spoiled = bytearray(CUT[kind])
        at = len(spoiled) // 2
        spoiled[at : at + 40] = bytes(40)
        with suppress(images.PictureError):
            images.decode(bytes(spoiled), max_pixels=LIMIT)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty file"), (b"no picture at all", "unreadable"), (b"\xff\xd8\xff" + b"\0" * 50, "unreadable")],
)
def test_what_is_no_picture_is_a_fault(data, reason):
    with pytest.raises(images.PictureError) as caught:
        images.decode(data, max_pixels=LIMIT)
    assert caught.value.reason == reason


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    small = saved(scene("1"), "PNG")
    size = b"IHDR" + struct.pack(">II", 30_000, 30_000) + small[24:29]
    bomb = small[:12] + size + struct.pack(">I", zlib.crc32(size)) + small[33:]
    with pytest.raises(images.PictureError) as caught:
        images.decode(bomb, max_pixels=LIMIT)
    assert (caught.value.reason, caught.value.detail) == ("too many pixels", "900000000 pixels")


def test_a_jpeg_bomb_is_refused_by_its_header(no_pillow):
    data = saved(scene(), "JPEG")
    at = data.index(b"\xff\xc0")
    bomb = data[: at + 5] + struct.pack(">HH", 30_000, 30_000) + data[at + 9 :]
    with pytest.raises(images.PictureError) as caught:
        images.decode(bomb, max_pixels=LIMIT)
    assert (caught.value.reason, caught.value.detail) == ("too many pixels", "900000000 pixels")
    with pytest.raises(images.PictureError, match="too many pixels"):
        images.decode(data, max_pixels=2399)
    assert images.decode(data, max_pixels=2400).shape == (40, 60, 3)


@given(st.binary(max_size=40), st.integers(0, 700), st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_any_bytes_have_a_head_or_none(patch, at, cut):
    data = saved(scene(), "JPEG")
    for some in (patch, jpeg.MAGIC + patch, data[:at] + patch, data[:at] + patch + data[at + cut :]):
        found = jpeg.head(some)
        assert found is None or found.scan == -1 or some[found.scan : found.scan + 2] == b"\xff\xda"
        assert found == jpeg._head(some)
        ends_early(some)


def test_a_header_is_not_taken_for_another_that_begins_alike():
    plain = saved(scene(), "JPEG")
    said = plain[:2] + b"\xff\xfe\x00\x08a\xff\xda\x00\x0cb" + plain[2:]  # a comment that looks like a scan
    turned = plain[:2] + b"\xff\xe1\x00\x0eExif\x00\x00MM\x00*\x01\x12" + plain[2:]
    short = b"\xff\xd8\xff\xc0\x00\x02\xff\xda\x00\x0c"  # a frame without a size, which is read on into the scan
    for data in (plain, said, turned, short + plain[100:], short, short + b"\x03" * 9):
        for _ in range(2):
            assert jpeg.head(data) == jpeg._head(data)
    assert jpeg.head(said).scan == jpeg.head(plain).scan + 10 and jpeg.head(turned).turned
    assert np.array_equal(images.decode(said, max_pixels=LIMIT), images.decode(plain, max_pixels=LIMIT))


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
