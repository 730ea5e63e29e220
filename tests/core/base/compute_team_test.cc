#include "core/base/compute/compute_team.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/base/mutex.h"

namespace vit {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

TEST(ComputeTeamTest, EachRankRunsOnceAndOnItsOwnThread) {
  ComputeTeam team("team", 4);
  EXPECT_EQ(team.size(), 4);
  for (int members = 1; members <= 4; ++members) {
    Mutex mu;
    std::multiset<int> ranks;
    std::set<std::thread::id> threads;
    team.Run(members, [&](int rank) {
      MutexLock lock(&mu);
      ranks.insert(rank);
      threads.insert(std::this_thread::get_id());
    });
    EXPECT_EQ(ranks.size(), members);
    EXPECT_EQ(std::set<int>(ranks.begin(), ranks.end()).size(), members);
    EXPECT_EQ(threads.size(), members);
  }
}

TEST(ComputeTeamTest, TheCallingThreadHasRankZero) {
  ComputeTeam team("team", 2);
  std::thread::id zero;
  team.Run(2, [&](int rank) {
    if (rank == 0) zero = std::this_thread::get_id();
  });
  EXPECT_EQ(zero, std::this_thread::get_id());
}

TEST(ComputeTeamTest, AwaitReturnsWhenAllMembersHaveCome) {
  constexpr int kMembers = 3, kRounds = 1000;
  ComputeTeam team("team", 4);  // one has nothing to do
  std::vector<int> written(kMembers);
  std::atomic<int> wrong = 0;
  team.Run(kMembers, [&](int rank) {
    for (int round = 1; round <= kRounds; ++round) {
      written[rank] = round;
      team.Await();
      for (const int other : written) wrong += other != round;
      team.Await();
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_THAT(written, Each(kRounds));
}

TEST(ComputeTeamTest, ManyShortTasks) {
  ComputeTeam team("team", 3);
  std::vector<int> counts(3);
  for (int i = 0; i < 3000; ++i) {
    team.Run(1 + i % 3, [&](int rank) { ++counts[rank]; });
  }
  EXPECT_THAT(counts, ElementsAre(3000, 2000, 1000));
}

TEST(ComputeTeamTest, ThrowsWhatAMemberThrows) {
  ComputeTeam team("team", 3);
  for (int bad = 0; bad < 3; ++bad) {
    try {
      team.Run(3, [&](int rank) {
        if (rank == bad) throw std::runtime_error("no memory");
        team.Await();  // for the one that failed
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "no memory");
    }
    int done = 0;
    team.Run(1, [&](int) { ++done; });
    team.Run(3, [&](int rank) {
      team.Await();
      if (rank == 0) ++done;
    });
    EXPECT_EQ(done, 2);
  }
}

}  // namespace
}  // namespace vit
