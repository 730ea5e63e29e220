#include "core/train/preview.h"

#include <torch/torch.h>

#include <algorithm>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/data/loader/loader.h"
#include "core/data/tools/contact_sheet.h"
#include "core/model/normalize.h"
#include "core/train/batch_upload.h"
#include "core/train/optim/schedule.h"
#include "core/train/plan_run.h"
#include "core/train/recipe/examples.h"

namespace vit {
namespace {

constexpr int kDefaultCount = 32, kDefaultColumns = 8, kMaxCount = 1024;

// Turns [3, S, S], normalised, back into an image.
Image ToImage(const at::Tensor& normalized, const vit::v1::DataConfig& data) {
  std::vector<at::Tensor> planes;
  planes.reserve(3);
  for (int c = 0; c < 3; ++c) {
    planes.push_back((normalized[c] * data.std(c) + data.mean(c)).mul(255).round().clamp(0, 255));
  }
  const at::Tensor rgb = at::stack(planes, 2).to(at::kByte).contiguous();  // [S, S, 3]
  const uint8_t* const bytes = rgb.const_data_ptr<uint8_t>();
  const auto side = static_cast<int>(rgb.size(0));
  return {.width = side, .height = side, .rgb = {bytes, bytes + rgb.numel()}};
}

// Returns the classes of image `i`, those of a mix with their parts, the largest first.
std::vector<std::string> Caption(const Targets& targets, int64_t i,
                                 const std::vector<std::string>& names) {
  if (!targets.parts.defined()) return {names[targets.labels[i].item<int64_t>()]};
  std::vector<std::pair<float, int>> parts;
  for (int c = 0; c < static_cast<int>(names.size()); ++c) {
    const auto part = targets.parts[i][c].item<float>();
    if (part > 0) parts.emplace_back(part, c);
  }
  std::sort(parts.rbegin(), parts.rend());
  std::vector<std::string> lines;
  lines.reserve(parts.size());
  for (const auto& [part, label] : parts) {
    lines.push_back(part == 1 ? names[label] : absl::StrFormat("%.2f %s", part, names[label]));
  }
  return lines;
}

}  // namespace

absl::StatusOr<std::string> PreviewTraining(const ResolvedSpec& resolved, int64_t step, int count,
                                            int columns) {
  return CatchExceptions("preview", [&]() -> absl::StatusOr<std::string> {
    torch::NoGradGuard no_grad;
    const vit::v1::TrainingSpec& spec = resolved.spec;
    Mutex mu;
    absl::Status first_bad;
    SampleReader reader(resolved.data, spec.data(), spec.model().image_size(),
                        [&](const BadImage& bad) {
                          MutexLock lock(&mu);
                          first_bad.Update(Annotate(bad.why, bad.name));
                        });
    TrainLoader loader(&reader, {.seed = spec.seed(),
                                 .batch_size = spec.batch_size(),
                                 .first_step = step,
                                 .threads = 1,
                                 .prefetch_batches = 1});
    VIT_ASSIGN_OR_RETURN(Batch batch, loader.Next(std::stop_token()));
    const auto readable = static_cast<int64_t>(batch.labels.size());
    if (readable == 0) {
      MutexLock lock(&mu);  // the loader continues with the next step
      return Annotate(first_bad, "none of the step's images can be read");
    }
    const Normalizer normalize(spec.data(), at::kCPU);
    const auto [images, labels] = BatchUpload(&normalize, at::kCPU)(&batch);
    const StepCounts steps =
        CountSteps(spec.schedule(), resolved.steps_per_epoch, resolved.total_steps);
    const Examples examples =
        MakeExamples(spec, steps, images, labels, batch.slots, batch.size, step);
    std::vector<ContactTile> tiles;
    for (int64_t i = 0; i < std::min<int64_t>(count, readable); ++i) {
      tiles.push_back({.image = ToImage(examples.images[i], spec.data()),
                       .caption = Caption(examples.targets, i, resolved.data->class_names())});
    }
    return DrawContactSheet(tiles, columns);
  });
}

absl::StatusOr<vit::v1::PreviewDataResponse> PreviewData(const vit::v1::PreviewDataRequest& request,
                                                         const TrainingEnvironment& environment) {
  VIT_ASSIGN_OR_RETURN(const ResolvedSpec resolved,
                       PlanPreview(request.preset(), request.spec(), environment));
  const int batch_size = resolved.spec.batch_size();
  const int most = std::min(kMaxCount, batch_size);
  const int count = request.count() == 0 ? std::min(kDefaultCount, most) : request.count();
  const int columns = request.columns() == 0 ? kDefaultColumns : request.columns();
  if (count < 1 || count > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("count is ", count, "; expected 1 to ", most, " at batch_size ", batch_size));
  }
  if (columns < 1 || columns > kMaxCount) {
    return absl::InvalidArgumentError(
        absl::StrCat("columns is ", columns, "; expected 1 to ", kMaxCount));
  }
  if (request.step() < 0 || request.step() >= resolved.total_steps) {
    return absl::InvalidArgumentError(absl::StrCat(
        "step is ", request.step(), "; the run has steps 0 to ", resolved.total_steps - 1));
  }
  absl::StatusOr<std::string> png = absl::InternalError("never ran");
  ComputeBudget::StartThread("preview", /*intra_op_threads=*/1, [&] {
    png = PreviewTraining(resolved, request.step(), count, columns);
  }).join();
  VIT_RETURN_IF_ERROR(png.status());
  vit::v1::PreviewDataResponse response;
  response.set_png(*std::move(png));
  return response;
}

}  // namespace vit
