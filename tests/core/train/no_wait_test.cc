// A training step never waits for the device. The test has none: it knows what would wait by name.
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/train/recipe/recipe_config.h"
#include "core/train/training_step.h"
#include "proto/set_field.h"

namespace vit {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

// Records the operators that wait for a device and that this thread, or a backward pass that it
// starts, calls while this lives: those that read it on the host, and blocking copies between the
// two. Leaves out what the CPU's fused optimizers do inside, which on CUDA are one kernel, and
// conversions inside other operators and backward passes, which stay on their tensor's device.
class Waits {
 public:
  Waits() {
    seen_.clear();
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(&Waits::Enter, &Waits::Leave)
            .needsInputs(true)
            .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~Waits() { at::removeCallback(handle_); }
  Waits(const Waits&) = delete;

  static const std::vector<std::string>& seen() { return seen_; }

 private:
  struct Place : at::ObserverContext {
    bool fused = false;
  };

  static std::unique_ptr<at::ObserverContext> Enter(const at::RecordFunction& call) {
    static const std::vector<std::string> kReads = {
        "aten::_local_scalar_dense", "aten::item",     "aten::nonzero", "aten::nonzero_numpy",
        "aten::masked_select",       "aten::_unique2", "aten::equal",   "aten::is_nonzero"};
    const std::string name = call.name();
    auto place = std::make_unique<Place>();
    place->fused = name.starts_with("aten::_fused_");
    if (fused_ == 0 && std::find(kReads.begin(), kReads.end(), name) != kReads.end()) {
      seen_.push_back(name);
    }
    if (depth_ == 0 && name == "aten::to" && CopiesBlocking(call)) {
      seen_.emplace_back("aten::to, blocking");
    }
    fused_ += place->fused;
    ++depth_;
    return place;
  }

  static void Leave(const at::RecordFunction&, at::ObserverContext* context) {
    const auto* const place = static_cast<const Place*>(context);
    fused_ -= place->fused;
    --depth_;
  }

  // Whether a device is named, and non_blocking is not set.
  static bool CopiesBlocking(const at::RecordFunction& call) {
    const auto schema = call.operator_schema();
    if (!schema.has_value()) return false;
    const auto inputs = call.inputs();
    bool device = schema->overload_name() == "other", blocking = false;
    for (size_t i = 0; i < inputs.size() && i < schema->arguments().size(); ++i) {
      const std::string& argument = schema->arguments()[i].name();
      if (argument == "device") device = !inputs[i].isNone();
      if (argument == "non_blocking") blocking = !inputs[i].toBool();
    }
    return device && blocking;
  }

  // On the CPU a backward pass runs on the thread that asks for it.
  static inline std::vector<std::string> seen_;
  static inline int fused_ = 0, depth_ = 0;
  at::CallbackHandle handle_;
};

TEST(NoWaitTest, TheGuardSeesWhatWaits) {
  const at::Tensor ones = at::ones({3});
  {
    const Waits waits;
    ones.sum().item<float>();
    EXPECT_THAT(Waits::seen(), Contains("aten::item"));
  }
  {
    const Waits waits;
    (void)ones.index({ones > 0});
    EXPECT_THAT(Waits::seen(), Contains("aten::nonzero"));
  }
  {
    const Waits waits;
    (void)ones.to(c10::Device(c10::kCPU), at::kDouble);
    EXPECT_THAT(Waits::seen(), Contains("aten::to, blocking"));
  }
  {
    const Waits waits;
    (void)ones.to(at::kDouble).add_(1).matmul(ones.to(at::kDouble));
    (void)ones.to(c10::Device(c10::kCPU), at::kDouble, /*non_blocking=*/true);
    EXPECT_THAT(Waits::seen(), IsEmpty());
  }
}

// A spec of a small model for ten classes, with `assignments`.
vit::v1::TrainingSpec Spec(const std::vector<std::string>& assignments) {
  vit::v1::TrainingSpec spec;
  const auto set = [&](const std::string& assignment) {
    const absl::Status status = SetField(assignment, &spec);
    EXPECT_TRUE(status.ok()) << status;
  };
  for (const char* field :
       {"model.image_size=16", "model.patch_size=4", "model.embed_dim=32", "model.depth=2",
        "model.num_heads=2", "optimizer.type=adamw", "optimizer.learning_rate=1e-3",
        "optimizer.weight_decay=0.05", "optimizer.beta1=0.9", "optimizer.beta2=0.99",
        "optimizer.eps=1e-8", "optimizer.momentum=0.9", "schedule.type=cosine",
        "loss.type=cross_entropy", "loss.hardest_fraction=1", "clip_grad_norm=1",
        "accumulation_steps=1", "precision=float32"}) {
    set(field);
  }
  for (const std::string& assignment : assignments) set(assignment);
  FillModelDefaults(10, spec.mutable_model());
  return spec;
}

class NoWaitStepTest : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(NoWaitStepTest, NothingWaits) {
  const vit::v1::TrainingSpec spec = Spec(GetParam());
  VisionTransformer model(spec.model());
  model->Initialize(1);
  model->train();
  TrainingStep training(spec, model.get(), {.per_epoch = 10, .warmup = 1, .total = 20});
  const at::Tensor images = at::randn({8, 3, 16, 16}), labels = at::arange(8);
  std::vector<int> slots(8);
  std::iota(slots.begin(), slots.end(), 0);
  const Waits waits;
  for (int64_t step = 0; step < 3; ++step) training.Run(images, labels, slots, 8, step);
  EXPECT_THAT(Waits::seen(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Recipes, NoWaitStepTest,
    ::testing::Values(
        std::vector<std::string>{}, std::vector<std::string>{"precision=bfloat16"},
        std::vector<std::string>{"optimizer.type=sgd", "label_smoothing=0.1",
                                 "accumulation_steps=2"},
        std::vector<std::string>{"optimizer.type=lamb", "loss.type=binary_cross_entropy",
                                 "mixing.mixup_alpha=0.8", "mixing.cutmix_alpha=1",
                                 "mixing.probability=1", "mixing.switch_probability=0.5",
                                 "mixing.mode=element"},
        std::vector<std::string>{"optimizer.type=lion", "loss.type=focal", "loss.focal_gamma=2",
                                 "loss.hardest_fraction=0.5",
                                 "loss.class_weights=1,2,1,2,1,2,1,2,1,2"},
        std::vector<std::string>{"model.drop_rate=0.1", "model.proj_drop_rate=0.1",
                                 "model.attn_drop_rate=0.1", "model.drop_path_rate=0.1",
                                 "model.attn_mask_rate=0.1", "model.norm_layer=batch_norm",
                                 "averaging.ema_decay=0.99"},
        std::vector<std::string>{
            "data.train.random_erasing.probability=1", "data.train.random_erasing.max_count=2",
            "data.train.random_erasing.area_min=0.02", "data.train.random_erasing.area_max=0.3",
            "data.train.random_erasing.ratio_min=0.3", "data.train.random_erasing.fill=noise"}));

}  // namespace
}  // namespace vit
