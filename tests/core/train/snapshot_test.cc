#include "core/train/checkpoint/snapshot.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace vit {
namespace {

TEST(SnapshotTest, KeepsWhatTheTensorsHeldWhateverTheyAreViewsOf) {
  const at::Tensor flat = at::arange(64, at::kFloat), other = at::arange(6, at::kLong);
  const NamedTensors live = {{"a", flat.narrow(0, 16, 12).view({3, 4})},
                             {"counter", at::full({}, 7.0)},
                             {"b", flat.narrow(0, 32, 5)},
                             {"c", other.view({2, 3})}};
  Snapshot snapshot;
  for (int round = 0; round < 3; ++round) {
    std::vector<at::Tensor> expected;
    for (const auto& [name, tensor] : live) expected.push_back(tensor.clone());
    snapshot.Take(live);
    flat.mul_(3);
    other.add_(1);
    ASSERT_EQ(snapshot.tensors().size(), live.size());
    for (size_t i = 0; i < live.size(); ++i) {
      EXPECT_EQ(snapshot.tensors()[i].first, live[i].first);
      EXPECT_TRUE(at::equal(snapshot.tensors()[i].second, expected[i])) << live[i].first;
    }
  }
}

TEST(SnapshotTest, TheHostsMemoryIsKept) {
  const at::Tensor flat = at::zeros({64});
  Snapshot snapshot;
  snapshot.Take({{"a", flat}});
  const void* const where = snapshot.tensors()[0].second.const_data_ptr();
  EXPECT_NE(where, flat.const_data_ptr());
  // Another tensor of the same shape in its place, such as an average.
  const at::Tensor average = at::ones({64});
  snapshot.Take({{"a", average}});
  EXPECT_EQ(snapshot.tensors()[0].second.const_data_ptr(), where);
  EXPECT_TRUE(at::equal(snapshot.tensors()[0].second, average));
}

}  // namespace
}  // namespace vit
