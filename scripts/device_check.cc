// device_check: compares what a device computes with what the CPU computes. scripts/check-gpu runs
// it.
//
//   device_check --device cuda:0
//
// prints a JSON object for each check, {"check", "ok", "value", "limit", "detail"}, and exits with
// 1 if a check fails.
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/cuda_driver.h"
#include "core/base/compute/device.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"
#include "core/model/autocast.h"
#include "core/model/model_config.h"
#include "core/model/normalize.h"
#include "core/model/vision_transformer.h"
#include "core/train/batch_upload.h"
#include "core/train/checkpoint/snapshot.h"
#include "core/train/training_step.h"
#include "proto/set_field.h"
#include "scripts/checked_model.h"
#include "scripts/served_outputs.h"

namespace vit {
namespace {

class Checks {
 public:
  explicit Checks(c10::Device device) : device_(device) {}

  // Checks that `measure` returns at most `limit`. An exception is a failure.
  void AtMost(const std::string& check, double limit, const std::function<double()>& measure) {
    nlohmann::ordered_json line = {{"check", check}, {"ok", false}, {"limit", limit}};
    try {
      const double value = measure();
      if (std::isfinite(value)) {
        line["value"] = value;
        line["ok"] = value <= limit;
      } else {
        line["detail"] = "not finite";
      }
    } catch (const std::exception& e) {
      line["detail"] = StatusFromException(e, check).message();
    }
    all_hold_ &= line["ok"].get<bool>();
    std::cout << line.dump() << std::endl;
  }

  c10::Device device() const { return device_; }
  bool all_hold() const { return all_hold_; }

 private:
  const c10::Device device_;
  bool all_hold_ = true;
};

// Returns the largest relative error of the logits and the gradients, computed on the device in
// float32 or bfloat16, against float32 on the CPU. Errors of gradients are relative to the model's
// largest gradient, because some gradients are zero except for rounding.
double ForwardAndBackward(const std::string& text, c10::Device device, bool bfloat16 = false) {
  const vit::v1::ModelConfig config = CheckedModel(text);
  std::vector<at::Tensor> logits;
  std::vector<std::vector<at::Tensor>> gradients;
  for (const auto& [where, low] : {std::pair(c10::Device(c10::kCPU), false), {device, bfloat16}}) {
    VisionTransformer model = NewModel(config, where);
    {
      const AutocastGuard autocast(low, where.type());
      logits.push_back(model->forward(Images(config, 6).to(where)).to(at::kFloat));
    }
    const at::Tensor labels = at::arange(6, at::kLong).to(where);
    at::cross_entropy_loss(logits.back(), labels).backward();
    gradients.emplace_back();
    for (const at::Tensor& parameter : model->parameters()) {
      gradients.back().push_back(parameter.grad().to(at::kCPU, at::kDouble));
    }
  }
  double largest = 0, error = 0;
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    largest = std::max(largest, gradients[0][i].abs().max().item<double>());
    error = std::max(error, (gradients[1][i] - gradients[0][i]).abs().max().item<double>());
  }
  return std::max(RelativeError(logits[1], logits[0]), error / largest);
}

vit::v1::TrainingSpec Recipe(const std::vector<std::string>& assignments) {
  vit::v1::TrainingSpec spec;
  *spec.mutable_model() = CheckedModel("");
  std::vector<std::string> all = {
      "optimizer.type=adamw", "optimizer.learning_rate=1e-3", "optimizer.weight_decay=0.05",
      "optimizer.beta1=0.9",  "optimizer.beta2=0.99",         "optimizer.eps=1e-8",
      "schedule.type=cosine", "loss.type=cross_entropy",      "loss.hardest_fraction=1",
      "clip_grad_norm=1",     "accumulation_steps=1",         "precision=float32",
      "label_smoothing=0.1"};
  all.insert(all.end(), assignments.begin(), assignments.end());
  for (const std::string& assignment : all) {
    if (const absl::Status set = SetField(assignment, &spec); !set.ok()) {
      throw std::logic_error(set.ToString());
    }
  }
  return spec;
}

struct Trajectory {
  std::vector<double> losses;
  std::vector<at::Tensor> weights, averages;  // on the CPU
};

Trajectory Train(const vit::v1::TrainingSpec& spec, c10::Device device, int steps) {
  VisionTransformer model = NewModel(spec.model(), device);
  TrainingStep training(spec, model.get(), {.per_epoch = 20, .warmup = 5, .total = 20});
  std::vector<int> slots(16);
  std::iota(slots.begin(), slots.end(), 0);
  const at::Tensor images = Images(spec.model(), 16).to(device);
  const at::Tensor labels = at::arange(16, at::kLong).remainder(kClasses).to(device);
  Trajectory trajectory;
  for (int64_t step = 0; step < steps; ++step) {
    training.ResetSums();
    training.Run(images, labels, slots, 16, step);
    trajectory.losses.push_back(training.LossSum());
  }
  for (const at::Tensor& parameter : model->parameters()) {
    trajectory.weights.push_back(parameter.detach().to(at::kCPU));
  }
  for (const auto& [name, tensor] : training.averages().State()) {
    trajectory.averages.push_back(tensor.detach().to(at::kCPU));
  }
  return trajectory;
}

// Returns the largest relative error of the losses of 20 steps, and of the averages after them,
// against the CPU in float32.
double LossesOf20Steps(const std::vector<std::string>& assignments, c10::Device device) {
  const vit::v1::TrainingSpec spec = Recipe(assignments);
  vit::v1::TrainingSpec exact = spec;
  exact.set_precision(vit::v1::PRECISION_FLOAT32);
  const Trajectory expected = Train(exact, c10::Device(c10::kCPU), 20),
                   actual = Train(spec, device, 20);
  double error = 0;
  for (size_t i = 0; i < expected.losses.size(); ++i) {
    error = std::max(error, std::abs(actual.losses[i] / expected.losses[i] - 1));
  }
  for (size_t i = 0; i < expected.averages.size(); ++i) {
    error = std::max(error, RelativeError(actual.averages[i], expected.averages[i]));
  }
  return error;
}

// Returns the number of weights that differ between two trainings with the same seed.
double DifferencesOfTwoRuns(const std::vector<std::string>& assignments, c10::Device device) {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  const vit::v1::TrainingSpec spec = Recipe(assignments);
  const Trajectory first = Train(spec, device, 10), second = Train(spec, device, 10);
  at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
  int64_t differences = 0;
  for (size_t i = 0; i < first.weights.size(); ++i) {
    differences += first.weights[i].ne(second.weights[i]).sum().item<int64_t>();
  }
  return static_cast<double>(differences);
}

double Bfloat16Logits(c10::Device device) {
  const vit::v1::ModelConfig config = CheckedModel(CheckedModels().back().second);
  VisionTransformer model = NewModel(config, device);
  model->eval();
  torch::NoGradGuard no_grad;
  const at::Tensor images = Images(config, 4).to(device);
  const at::Tensor expected = model->forward(images);
  AutocastGuard autocast(/*enabled=*/true, device.type());
  return RelativeError(model->forward(images), expected);
}

// A batch of `count` images with bytes of all values.
Batch Bytes(int count, const Device& device) {
  constexpr int kSide = 32;
  Batch batch{.image_size = kSide,
              .images = HostBuffer(size_t{3} * kSide * kSide * count, device),
              .size = count};
  for (size_t i = 0; i < batch.images.size(); ++i) {
    batch.images.data()[i] = static_cast<uint8_t>(i * 37 + i / 256);
  }
  for (int i = 0; i < count; ++i) {
    batch.labels.push_back(i % kClasses);
    batch.slots.push_back(i);
  }
  return batch;
}

// Returns the largest relative error of batches that travel to the device and, in a snapshot, back.
double ThereAndBack(const Device& device) {
  const c10::Device where = TorchDevice(device);
  const Normalizer there(Preprocessing(), where), here(Preprocessing(), c10::kCPU);
  BatchUpload upload(&there, where);
  BatchUpload keep(&here, c10::kCPU);
  Snapshot snapshot;
  double error = 0;
  for (const int count : {16, 5, 16, 16}) {
    Batch batch = Bytes(count, device), same = Bytes(count, Device::Cpu());
    const BatchUpload::OnDevice actual = upload(&batch), expected = keep(&same);
    error = std::max(error, RelativeError(actual.images, expected.images));
    error = std::max(error, RelativeError(actual.labels, expected.labels));
    if (count != 16) continue;
    snapshot.Take({{"images", actual.images}, {"labels", actual.labels}});
    AwaitDevice(where);
    error = std::max(error, RelativeError(snapshot.tensors()[0].second, expected.images));
    error = std::max(error, RelativeError(snapshot.tensors()[1].second, expected.labels));
  }
  return error;
}

// Returns 0, or throws if a step or the upload of its batch waits for the device.
double StepsThatWait(const std::vector<std::string>& assignments, const Device& device) {
  const c10::Device where = TorchDevice(device);
  const vit::v1::TrainingSpec spec = Recipe(assignments);
  VisionTransformer model = NewModel(spec.model(), where);
  TrainingStep training(spec, model.get(), {.per_epoch = 20, .warmup = 5, .total = 20});
  const Normalizer normalize(Preprocessing(), where);
  BatchUpload upload(&normalize, where);
  const auto step = [&](int64_t number) {
    Batch batch = Bytes(16, device);
    const auto [images, labels] = upload(&batch);
    training.Run(images, labels, batch.slots, batch.size, number);
  };
  for (int64_t number = 0; number < 3; ++number) step(number);  // allocate, choose kernels
  AwaitDevice(where);
  const ForbidCudaWaits forbid;
  for (int64_t number = 3; number < 6; ++number) step(number);
  return 0;
}

// Returns how many of two ways to wait for the device go unnoticed while that is forbidden.
double WaitsUnnoticed(c10::Device device) {
  const at::Tensor ones = at::ones({4}, device);
  const ForbidCudaWaits forbid;
  int unnoticed = 0;
  for (const auto& wait :
       {std::function<void()>([&] { ones.sum().item<float>(); }), {[&] { (void)ones.cpu(); }}}) {
    try {
      wait();
      ++unnoticed;
    } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch): as it should be
    }
  }
  return unnoticed;
}

bool Check(const Device& device) {
  Checks checks(TorchDevice(device));
  const bool cuda = device.kind() == Device::Kind::kCuda;
  const double exact = cuda ? 1e-4 : 1e-6;
  for (const auto& [name, text] : CheckedModels()) {
    checks.AtMost(absl::StrCat("logits and gradients, ", name), exact,
                  [&, &text = text] { return ForwardAndBackward(text, checks.device()); });
  }
  const std::vector<std::pair<std::string, std::vector<std::string>>> recipes = {
      {"AdamW", {}},
      {"LAMB, mixup and CutMix, averages",
       {"optimizer.type=lamb", "mixing.mixup_alpha=0.8", "mixing.cutmix_alpha=1",
        "mixing.probability=1", "mixing.switch_probability=0.5", "mixing.mode=element",
        "averaging.ema_decay=0.9"}},
      {"Lion, focal loss, accumulation",
       {"optimizer.type=lion", "optimizer.learning_rate=1e-4", "loss.type=focal",
        "loss.focal_gamma=2", "accumulation_steps=2"}},
      {"SGD, binary cross entropy, erasing, class weights",
       {"optimizer.type=sgd", "optimizer.momentum=0.9", "loss.type=binary_cross_entropy",
        "loss.class_weights=1,2,1,2,1,2,1,2,1,2", "data.train.random_erasing.probability=1",
        "data.train.random_erasing.max_count=2", "data.train.random_erasing.area_min=0.02",
        "data.train.random_erasing.area_max=0.3", "data.train.random_erasing.ratio_min=0.3",
        "data.train.random_erasing.fill=zero"}}};
  for (const auto& [name, assignments] : recipes) {
    checks.AtMost(absl::StrCat("losses of 20 steps, ", name), cuda ? 1e-3 : 1e-6,
                  [&, &a = assignments] { return LossesOf20Steps(a, checks.device()); });
  }
  for (const auto& [name, text] : CheckedModels()) {
    checks.AtMost(absl::StrCat("served, ", name), std::max(exact, 1e-5),
                  [&, &text = text] { return ServedOutputs(text, device, /*bfloat16=*/false); });
    if (!device.has_bfloat16()) continue;
    checks.AtMost(absl::StrCat("served, bfloat16, ", name), 0.05,
                  [&, &text = text] { return ServedOutputs(text, device, /*bfloat16=*/true); });
  }
  checks.AtMost("batches to the device and back", 1e-6, [&] { return ThereAndBack(device); });
  if (cuda) {
    checks.AtMost("waits for the device that go unnoticed", 0,
                  [&] { return WaitsUnnoticed(checks.device()); });
    for (const auto& [name, assignments] : recipes) {
      checks.AtMost(absl::StrCat("steps that wait for the device, ", name), 0,
                    [&, &a = assignments] { return StepsThatWait(a, device); });
    }
  }
  if (device.has_bfloat16()) {
    checks.AtMost("bfloat16 logits against float32", 0.05,
                  [&] { return Bfloat16Logits(checks.device()); });
    for (const size_t i : {size_t{0}, CheckedModels().size() - 1}) {
      checks.AtMost(absl::StrCat("bfloat16 logits and gradients, ", CheckedModels()[i].first), 0.05,
                    [&] {
                      return ForwardAndBackward(CheckedModels()[i].second, checks.device(),
                                                /*bfloat16=*/true);
                    });
    }
    checks.AtMost("losses of 20 steps, AdamW, bfloat16", 0.03,
                  [&] { return LossesOf20Steps({"precision=bfloat16"}, checks.device()); });
  }
  for (const char* precision : {"precision=float32", "precision=bfloat16"}) {
    if (!device.has_bfloat16() && absl::StrContains(precision, "bfloat16")) continue;
    checks.AtMost(absl::StrCat("deterministic, differing values of two runs, ", precision), 0, [&] {
      return DifferencesOfTwoRuns(
          {precision, "model.proj_drop_rate=0.1", "model.attn_drop_rate=0.1"}, checks.device());
    });
  }
  return checks.all_hold();
}

}  // namespace
}  // namespace vit

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  CLI::App app("Compares what a device computes with what the CPU computes.");
  std::string name = "auto";
  app.add_option("--device", name, "cpu, cuda or cuda:N");
  CLI11_PARSE(app, argc, argv);
  const auto device = vit::Device::Parse(name);
  absl::Status status = device.status();
  if (status.ok()) status = device->Start();
  if (!status.ok()) {
    std::cerr << "device_check: " << status.message() << "\n";
    return 2;
  }
  bool holds = false;
  const vit::ComputeBudget budget = *vit::ComputeBudget::Create(0);
  vit::ComputeBudget::StartThread("check", budget.training_threads(), [&] {
    holds = vit::Check(*device);
  }).join();
  return holds ? 0 : 1;
}
