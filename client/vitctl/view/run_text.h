// A run in words, the same in every command.
#ifndef VIT_CLIENT_VITCTL_VIEW_RUN_TEXT_H_
#define VIT_CLIENT_VITCTL_VIEW_RUN_TEXT_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/vitctl/view/terminal.h"
#include "vit/v1/training.pb.h"

namespace vit {

std::string StateName(vit::v1::RunState state);  // RUNNING
Style StateStyle(vit::v1::RunState state);
std::string SplitName(vit::v1::Split split);  // train, validation

// SUCCEEDED, FAILED or STOPPED: nothing more happens by itself.
bool IsFinal(vit::v1::RunState state);

std::string RunTitle(const vit::v1::Run& run);  // "7f3a2c (pets)", or the id alone
std::string PhaseText(
    const vit::v1::Run& run);  // "evaluating 42%", or "" if the state says everything
double ProgressRatio(const vit::v1::Run& run);  // 0..1

// How long the run has been or was running; nothing before it starts.
std::optional<absl::Duration> Elapsed(const vit::v1::Run& run, absl::Time now);

// "top-5" for the k of a top-k accuracy; "top-k" if it was not recorded.
std::string TopKName(int k);

// "2 of 58 training images and 1 of 10 validation images could not be read", or "" if all could.
std::string BadImagesText(const vit::v1::Run& run);

// "68.9% at step 1,200", or "" if there is no best checkpoint.
std::string BestText(const vit::v1::Run& run);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_RUN_TEXT_H_
