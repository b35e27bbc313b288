#!/usr/bin/env python3
"""Writes the small pictures of test/data/image_decode and what Pillow makes of them.

    python3 -m venv P && P/bin/pip install pillow numpy
    P/bin/python tools/dev/image_cases.py test/data/image_decode

cases.json says for each file the size and the SHA-256 of the RGB bytes: `white` with alpha
composited on white (Image.paste with the alpha as mask), `drop` by convert("RGB"), both after
ImageOps.exif_transpose. Where this project differs from Pillow on purpose (16-bit grey) the
expected bytes are computed here.
"""
import hashlib
import io
import json
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

W, H = 23, 17


def picture(mode, seed=7):
    """A smooth picture with some noise."""
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    noise = np.random.default_rng(seed).integers(0, 60, (H, W, channels))
    y, x, c = np.mgrid[0:H, 0:W, 0:channels]
    values = ((x * (7 + c) + y * (11 - 2 * c) + noise) % 256).astype(np.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values, mode)


def chunk(name, data):
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def raw_png(depth, color, rows, extra=b"", interlace=0, late=b""):
    """A PNG from filtered rows of bytes."""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, color, 0, 0,
                                                               interlace))
            + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + late + chunk(b"IEND", b""))


def packed(values, depth):
    """Rows of samples, `depth` bits each, each row behind a filter byte 0."""
    bits = ((values[..., None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
    rows = np.packbits(bits.reshape(values.shape[0], -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def adam7(values):
    """The seven passes of an interlaced 8-bit picture [H, W, C]."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))
    out = b""
    for y, x, dy, dx in passes:
        part = values[y::dy, x::dx]
        if part.shape[1]:
            out += b"".join(b"\0" + row.tobytes() for row in part)
    return out


def lzw(values, bits):
    """Codes of a GIF that never leave their first width: a clear code often enough."""
    clear, room = 1 << bits, (1 << bits) - 2
    codes = []
    for start in range(0, len(values), room):
        codes += [clear, *values[start:start + room]]
    stream = "".join(format(code, f"0{bits + 1}b")[::-1] for code in [*codes, clear + 1])
    stream += "0" * (-len(stream) % 8)
    data = bytes(int(stream[i:i + 8][::-1], 2) for i in range(0, len(stream), 8))
    blocks = b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255]
                      for i in range(0, len(data), 255))
    return bytes([bits]) + blocks + b"\0"


def raw_gif(rows, colours, place=(0, 0), screen=None, transparent=None, local=False):
    """A GIF of one frame at `place`; 2^bits colours, of all frames or of this one."""
    height, width = rows.shape
    bits = max(2, (len(colours) - 1).bit_length())
    palette = bytes(np.array(colours, np.uint8)) + bytes(3 * ((1 << bits) - len(colours)))
    has = 0x80 | bits - 1
    out = b"GIF89a" + struct.pack("<HHBBB", *(screen or (width, height)), 0 if local else has, 0, 0)
    out += b"" if local else palette
    if transparent is not None:
        out += b"\x21\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    out += b"," + struct.pack("<HHHHB", *place, width, height, has if local else 0)
    return out + (palette if local else b"") + lzw(rows.ravel().tolist(), bits) + b";"


def gifs(rng, rgb):
    rows, colours = rng.integers(0, 8, (H, W)), rng.integers(0, 256, (8, 3))
    quantized = rgb.quantize(32)
    frames = [quantized, picture("RGB", 8).quantize(32)]
    return {
        "interlaced.gif": saved(quantized, "GIF", interlace=1),
        "sequential.gif": saved(quantized, "GIF", interlace=0),
        "animated.gif": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "clear.gif": raw_gif(rows, colours, transparent=3),
        "local.gif": raw_gif(rows, colours, local=True),
        "inset.gif": raw_gif(rows, colours, place=(3, 2), screen=(W + 9, H + 4)),
        "inset_clear.gif": raw_gif(rows, colours, place=(3, 2), screen=(W + 9, H + 4), transparent=5),
        "outgrown.gif": raw_gif(rows, colours, place=(4, 5), screen=(W, H), transparent=1),
    }


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def files():
    """name -> (bytes, expected RGB array or None for what Pillow says)."""
    rng = np.random.default_rng(3)
    rgb, rgba = picture("RGB"), picture("RGBA")
    made = {}
    for depth in (1, 2, 4):
        made[f"grey{depth}.png"] = raw_png(depth, 0, packed(rng.integers(0, 1 << depth, (H, W)), depth))
        palette = rng.integers(0, 256, (1 << depth, 3)).astype(np.uint8).tobytes()
        rows = packed(rng.integers(0, 1 << depth, (H, W)), depth)
        made[f"palette{depth}.png"] = raw_png(depth, 3, rows, chunk(b"PLTE", palette))
        made[f"palette{depth}_clear.png"] = raw_png(
            depth, 3, rows, chunk(b"PLTE", palette) + chunk(b"tRNS", bytes([0, 128])))
    made["grey8.png"] = saved(picture("L"), "PNG")
    made["grey_alpha.png"] = saved(picture("LA"), "PNG")
    made["rgb.png"] = saved(rgb, "PNG")
    made["rgba.png"] = saved(rgba, "PNG")
    grey = np.asarray(picture("L"))
    made["grey_clear.png"] = raw_png(8, 0, packed(grey, 8), chunk(b"tRNS", struct.pack(">H", int(grey[3, 4]))))
    values = np.asarray(rgb)
    made["rgb_clear.png"] = raw_png(8, 2, packed(values.reshape(H, -1), 8), chunk(
        b"tRNS", struct.pack(">HHH", *map(int, values[5, 6]))))
    deep = rng.integers(0, 65536, (H, W * 3))
    made["rgb16.png"] = raw_png(16, 2, packed(deep, 16))
    deep = rng.integers(0, 65536, (H, W))
    made["grey16.png"] = (raw_png(16, 0, packed(deep, 16)),
                          np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, 2))
    made["interlaced.png"] = raw_png(8, 2, adam7(values), interlace=1)
    made["interlaced_alpha.png"] = raw_png(8, 6, adam7(np.asarray(rgba)), interlace=1)
    for orientation in range(1, 9):
        made[f"orientation{orientation}.png"] = saved(rgb, "PNG", exif=exif(orientation))
    made["orientation_late.png"] = raw_png(8, 2, packed(values.reshape(H, -1), 8),
                                           late=chunk(b"eXIf", exif(6)[6:]))
    made["orientation6.jpg"] = saved(rgb, "JPEG", exif=exif(6))
    made["orientation5.webp"] = saved(rgb, "WEBP", lossless=True, exif=exif(5))
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        made[f"rgb{name}.jpg"] = saved(rgb, "JPEG", quality=90, subsampling=sampling)
    made["progressive.jpg"] = saved(rgb, "JPEG", quality=90, progressive=True)
    made["grey.jpg"] = saved(picture("L"), "JPEG", quality=90)
    made["cmyk.jpg"] = saved(picture("CMYK"), "JPEG", quality=90)
    made["lossless.webp"] = saved(rgb, "WEBP", lossless=True)
    made["lossless_alpha.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
    made["lossy.webp"] = saved(rgb, "WEBP", quality=80)
    made["lossy_alpha.webp"] = saved(rgba, "WEBP", quality=80)
    frames = [picture("RGBA", seed) for seed in (7, 8)]
    made["animated.webp"] = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:],
                                  duration=100, lossless=True)
    made.update(gifs(np.random.default_rng(5), rgb))
    return made


def on_white(image):
    if image.mode == "P" and "transparency" in image.info or image.mode in ("L", "RGB", "LA") \
            and ("transparency" in image.info or image.mode == "LA"):
        image = image.convert("RGBA")
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def digest(image):
    return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    cases = []
    for name, made in files().items():
        data, expected = made if isinstance(made, tuple) else (made, None)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        image = Image.open(io.BytesIO(data))
        image.load()
        image = ImageOps.exif_transpose(image)
        drop = image.convert("RGB") if expected is None else Image.fromarray(expected)
        white = on_white(image) if expected is None else drop
        cases.append({"file": name, "width": drop.width, "height": drop.height,
                      "white": digest(white), "drop": digest(drop)})
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
