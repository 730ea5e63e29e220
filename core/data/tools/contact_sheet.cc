#include "core/data/tools/contact_sheet.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "core/base/status.h"
#include "core/data/image/png.h"

namespace vit {
namespace {

constexpr int kTileSide = 128;  // small images are enlarged to at most this many pixels
constexpr int kGap = 6;
constexpr int kLineHeight = 14;
constexpr double kFontScale = 0.38;
constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
const cv::Scalar kBackground(255, 255, 255), kInk(32, 32, 32);

std::string Ascii(const std::string& text) {
  std::string ascii;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 && byte < 0xC0) continue;  // one mark for each character, not for each byte
    ascii.push_back(byte >= 0x20 && byte < 0x7F ? c : '?');
  }
  return ascii;
}

// Returns the longest prefix of `text` that is at most `width` pixels wide.
std::string Fit(std::string text, int width) {
  int baseline = 0;
  while (!text.empty() && cv::getTextSize(text, kFont, kFontScale, 1, &baseline).width > width) {
    text.pop_back();
  }
  return text;
}

cv::Mat Enlarged(const Image& image, int factor) {
  const cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
  cv::Mat bgr, enlarged;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  cv::resize(bgr, enlarged, {}, factor, factor, cv::INTER_NEAREST);
  return enlarged;
}

}  // namespace

absl::StatusOr<std::string> DrawContactSheet(const std::vector<ContactTile>& tiles, int columns) {
  return CatchExceptions("draw the contact sheet", [&]() -> absl::StatusOr<std::string> {
    if (tiles.empty()) return absl::InvalidArgumentError("there is no image to draw");
    const Image& first = tiles.front().image;
    const int factor = std::max(1, kTileSide / std::max(first.width, first.height));
    const int width = first.width * factor, height = first.height * factor;
    size_t lines = 0;
    for (const ContactTile& tile : tiles) lines = std::max(lines, tile.caption.size());
    const int text_height = static_cast<int>(lines) * kLineHeight;
    const int count = static_cast<int>(tiles.size());
    const int across = std::min(columns, count), down = (count + across - 1) / across;
    cv::Mat sheet(kGap + down * (height + text_height + kGap), kGap + across * (width + kGap),
                  CV_8UC3, kBackground);
    for (int i = 0; i < count; ++i) {
      const int x = kGap + i % across * (width + kGap);
      const int y = kGap + i / across * (height + text_height + kGap);
      Enlarged(tiles[i].image, factor).copyTo(sheet(cv::Rect(x, y, width, height)));
      for (size_t line = 0; line < tiles[i].caption.size(); ++line) {
        cv::putText(sheet, Fit(Ascii(tiles[i].caption[line]), width),
                    {x, y + height + static_cast<int>(line + 1) * kLineHeight - 3}, kFont,
                    kFontScale, kInk, 1, cv::LINE_AA);
      }
    }
    return EncodePng(sheet.data, sheet.cols, sheet.rows, ChannelOrder::kBgr);
  });
}

}  // namespace vit
