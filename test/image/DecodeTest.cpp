//===- DecodeTest.cpp - what the decoders take and refuse -----------------===//
//
// The good pictures and what Pillow makes of them are recorded by tools/dev/image_cases.py.
//
//===----------------------------------------------------------------------===//

#include "runtime/image/Decode.h"
#include "runtime/image/Orientation.h"
#include "runtime/image/Source.h"
#include "test/image/ImageTestSupport.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>

using namespace llama4::image;
using namespace llama4::image::test;

namespace {

std::string dataFile(const std::string &name) { return readFile(dataPath("image_decode/" + name)); }

llama4::Status refusal(std::string_view bytes, const DecodeOptions &options = {}) {
  auto image = decodeImage(bytesOf(bytes), options);
  return image.ok() ? llama4::Status() : image.status();
}

long peakKibibytes() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// `text` with a big-endian number of `length` bytes written at `at`.
std::string patched(std::string text, size_t at, uint32_t value, unsigned length) {
  for (unsigned i = 0; i < length; ++i)
    text[at + i] = static_cast<char>(value >> (8 * (length - 1 - i)));
  return text;
}

std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    unsigned bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      text += i + k > bytes.size() ? '=' : digits[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

} // namespace

TEST(ImageDecode, EqualsPillow) {
  const Json cases = readJson(dataPath("image_decode/cases.json"));
  ASSERT_GE(cases.size(), 48u);
  for (const Json &one : cases) {
    const std::string name = one["file"];
    for (const auto &[key, mode] :
         {std::pair("white", AlphaMode::White), {"drop", AlphaMode::Drop}}) {
      DecodeOptions options;
      options.alpha = mode;
      const RgbImage image = decodeFile(dataPath("image_decode/" + name), options);
      EXPECT_EQ(image.size.width, one["width"].get<uint32_t>()) << name;
      EXPECT_EQ(image.size.height, one["height"].get<uint32_t>()) << name;
      EXPECT_EQ(sha256(image.pixels), one[key].get<std::string>()) << name << " " << key;
    }
  }
}

TEST(ImageDecode, OrientationIsAnOption) {
  DecodeOptions asStored;
  asStored.applyOrientation = false;
  const RgbImage upright = decodeFile(dataPath("image_decode/rgb.png"));
  for (int i = 1; i <= 8; ++i) {
    const auto path = dataPath("image_decode/orientation" + std::to_string(i) + ".png");
    EXPECT_EQ(decodeFile(path, asStored).pixels, upright.pixels);
    EXPECT_EQ(decodeFile(path).pixels == upright.pixels, i == 1);
  }
}

TEST(ImageDecode, ExifIsReadInBothByteOrdersAndNeverTrusted) {
  using namespace std::string_view_literals;
  const auto little = "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"sv;
  const auto big = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"sv;
  EXPECT_EQ(exifOrientation(bytesOf(little)), 6);
  EXPECT_EQ(exifOrientation(bytesOf(std::string("Exif\0\0", 6).append(big))), 6);
  for (size_t length = 0; length < big.size(); ++length)
    EXPECT_EQ(exifOrientation(bytesOf(big.substr(0, length))), 1) << length;
  EXPECT_EQ(exifOrientation(bytesOf(patched(std::string(big), 18, 9, 2))), 1);
  EXPECT_EQ(exifOrientation(bytesOf(patched(std::string(big), 4, 0xfffffff0, 4))), 1);
}

TEST(ImageDecode, RefusesOtherFormats) {
  expectRefused(refusal(""), "no bytes");
  expectRefused(refusal("GIF88a...."), "no picture");
  expectRefused(refusal("BM012345"), "a BMP");
  expectRefused(refusal(std::string("II*\0", 4)), "a TIFF");
  expectRefused(refusal("hello"), "no picture");
  expectRefused(refusal("RIFF1234WAVEfmt "), "no picture");
}

TEST(ImageDecode, RefusesEveryCutOffFile) {
  for (const char *name : {"rgb.png", "interlaced_alpha.png", "palette2_clear.png", "rgb420.jpg",
                           "progressive.jpg", "cmyk.jpg", "lossless.webp", "lossy_alpha.webp",
                           "animated.webp", "interlaced.gif", "inset_clear.gif"}) {
    const std::string whole = dataFile(name);
    // The last bytes of a PNG (IEND) and of a JPEG (the end marker) say nothing about pixels.
    const bool progressive = std::string_view(name) == "progressive.jpg";
    const bool webp = std::string_view(name).ends_with("webp");
    const size_t most = whole.size() - (webp || progressive ? 1 : 16);
    for (size_t length = 12; length < most; ++length) {
      const llama4::Status status = refusal(std::string_view(whole).substr(0, length));
      ASSERT_FALSE(status.ok()) << name << " with " << length << " of " << whole.size();
      expectRefused(status, "");
    }
  }
}

TEST(ImageDecode, TakesCutOffFilesOnRequest) {
  DecodeOptions options;
  options.allowTruncated = true;
  for (const char *name : {"rgba_350.png", "photo_640x480.jpg"}) {
    const auto path = dataPath(std::string("image_preprocess/images/") + name);
    const std::string whole = readFile(path);
    const RgbImage complete = decodeFile(path);
    const auto bytes = bytesOf(whole).first(whole.size() * 3 / 4);
    expectRefused(decodeImage(bytes).status(), "cut off");
    auto image = decodeImage(bytes, options);
    ASSERT_TRUE(image.ok()) << name << ": " << image.status().message();
    const uint32_t some = image->size.height / 4, last = image->size.height - 1;
    EXPECT_TRUE(std::equal(image->row(0), image->row(some), complete.row(0))) << name;
    EXPECT_FALSE(
        std::equal(image->row(last), image->row(last) + 3 * image->size.width, complete.row(last)))
        << name;
  }
  const std::string webp = dataFile("lossless.webp");
  expectRefused(refusal(std::string_view(webp).substr(0, webp.size() / 2), options), "WebP");
}

TEST(ImageDecode, RefusesBombsBeforeTheyCost) {
  const long before = peakKibibytes();
  // IHDR: width at 16, height at 20. SOF0 of this file: height, width behind FF C0 00 11 08.
  const std::string png = dataFile("rgb.png");
  expectRefused(refusal(patched(patched(png, 16, 20000, 4), 20, 20000, 4)), "20000 x 20000");
  expectRefused(refusal(patched(png, 16, 0x7fffffff, 4)), "at most 65535");
  expectRefused(refusal(patched(png, 16, 0, 4)), "0 x 17");
  // Small enough by its numbers, and no bytes for them.
  expectRefused(refusal(patched(patched(png, 16, 7000, 4), 20, 7000, 4)), "cut off");
  std::string jpeg = dataFile("rgb420.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg = patched(patched(jpeg, frame + 5, 60000, 2), frame + 7, 60000, 2);
  expectRefused(refusal(jpeg), "60000 x 60000");
  DecodeOptions small;
  small.limits.maxBytes = 100;
  expectRefused(refusal(png, small), "at most 100");
  small = {};
  small.limits.maxPixels = 23 * 17 - 1;
  for (const char *name : {"rgb.png", "rgb420.jpg", "lossy.webp", "animated.webp", "clear.gif"})
    expectRefused(refusal(dataFile(name), small), "23 x 17");
  EXPECT_LT(peakKibibytes() - before, 20 << 10);
}

TEST(ImageDecode, RefusesAJpegWithAThousandScans) {
  const std::string jpeg = dataFile("progressive.jpg");
  // The last scan, repeated: legal to read, expensive at size.
  const size_t end = jpeg.rfind("\xff\xd9"), last = jpeg.rfind("\xff\xda");
  ASSERT_LT(last, end);
  std::string bomb = jpeg.substr(0, end);
  for (int i = 0; i < 1000; ++i)
    bomb += jpeg.substr(last, end - last);
  expectRefused(refusal(bomb + "\xff\xd9"), "scans");
}

TEST(ImageDecode, RefusesAWrongChecksum) {
  std::string png = dataFile("rgb.png");
  png[png.find("IDAT") + 20] ^= 1;
  EXPECT_FALSE(refusal(png).ok());
}

TEST(ImageDecode, TakesOnePixel) {
  const RgbImage image = decodeFile(dataPath("image_preprocess/images/one_1x1.png"));
  EXPECT_EQ(image.pixels.size(), 3u);
}

TEST(ImageSource, DataUrls) {
  const std::string png = dataFile("rgba.png");
  const RgbImage expected = decodeFile(dataPath("image_decode/rgba.png"));
  std::string escaped, text = base64(png);
  for (char c : text)
    escaped += c == '+' ? "%2B" : c == '/' ? "%2f" : std::string(1, c);
  std::string bare = text;
  while (bare.ends_with('='))
    bare.pop_back();
  for (const std::string &url : {"data:image/png;base64," + text, "DATA:;BASE64," + bare,
                                 "data:image/png;base64," + escaped}) {
    auto image = loadImage(url);
    ASSERT_TRUE(image.ok()) << image.status().message();
    EXPECT_EQ(image->pixels, expected.pixels);
  }
  EXPECT_EQ(*decodeDataUrl("data:,a%20b%2", 100), "a b%2");
  ImageLimits limits;
  for (const char *url :
       {"data:image/png;base64", "data:;base64,a", "data:;base64,ab*d", "data:;base64,ab=c"})
    expectRefused(readImageSource(url, limits).status(), "data URL");
  limits.maxBytes = png.size() - 1;
  expectRefused(readImageSource("data:;base64," + text, limits).status(), "at most");
  expectRefused(loadImage("data:text/plain,hello").status(), "the data URL: found");
}

TEST(ImageSource, PathsAndOtherUrls) {
  EXPECT_TRUE(loadImage(dataPath("image_decode/rgb.png")).ok());
  EXPECT_EQ(loadImage("no/such/file.png").status().kind(), llama4::StatusKind::NotFound);
  expectRefused(loadImage("https://example.org/a.png").status(), "URL");
  expectRefused(loadImage(dataPath("image_decode/cases.json")).status(), "cases.json: found");
  expectRefused(loadImage("/dev/zero").status(), "regular file");
}
