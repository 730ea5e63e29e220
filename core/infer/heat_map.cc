#include "core/infer/heat_map.h"

#include <opencv2/imgproc.hpp>
#include <vector>

#include "core/base/status.h"
#include "core/data/image/png.h"

namespace vit {
namespace {

constexpr double kMapShare = 0.5;  // of the blend; the rest is the image

}  // namespace

absl::StatusOr<std::string> RenderHeatMap(absl::Span<const uint8_t> pixels, int size,
                                          absl::Span<const float> values, int rows, int columns) {
  return CatchExceptions("draw the heat map", [&]() -> absl::StatusOr<std::string> {
    std::vector<cv::Mat> planes;  // blue, green, red, as OpenCV expects them
    for (const int plane : {2, 1, 0}) {
      planes.emplace_back(size, size, CV_8U,
                          const_cast<uint8_t*>(pixels.data()) + size_t{1} * plane * size * size);
    }
    cv::Mat image, map, colours, blended;
    cv::merge(planes, image);
    const cv::Mat small(rows, columns, CV_32F, const_cast<float*>(values.data()));
    cv::resize(small, map, {size, size}, 0, 0, cv::INTER_CUBIC);
    cv::normalize(map, map, 0, 255, cv::NORM_MINMAX);
    map.convertTo(map, CV_8U);
    cv::applyColorMap(map, colours, cv::COLORMAP_TURBO);
    cv::addWeighted(image, 1 - kMapShare, colours, kMapShare, 0, blended);
    return EncodePng(blended.data, blended.cols, blended.rows, ChannelOrder::kBgr);
  });
}

}  // namespace vit
