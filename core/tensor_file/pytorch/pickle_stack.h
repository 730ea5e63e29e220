// The memory of the machine that reads pickles (pickle.h).
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_STACK_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_STACK_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/tensor_file/pytorch/pickle.h"

namespace vit {

// A stack in sections: a mark begins a section, and PopToMark or PopAny ends it. No operation
// reaches below the current section. Errors are INVALID_ARGUMENT.
class PickleStack {
 public:
  using Values = std::vector<const PickleValue*>;

  void Push(const PickleValue* value) { values_.push_back(value); }
  void Mark() { marks_.push_back(values_.size()); }

  absl::StatusOr<const PickleValue*> Top() const {
    if (values_.size() == SectionBegin()) return Missing();
    return values_.back();
  }
  absl::StatusOr<const PickleValue*> Pop() {
    if (values_.size() == SectionBegin()) return Missing();
    const PickleValue* const value = values_.back();
    values_.pop_back();
    return value;
  }
  // Pops the last `count` values, the lowest first.
  absl::StatusOr<Values> Pop(size_t count) {
    if (values_.size() - SectionBegin() < count) return Missing();
    return PopFrom(values_.size() - count);
  }
  // Pops the section and its mark.
  absl::StatusOr<Values> PopToMark() {
    if (marks_.empty()) return absl::InvalidArgumentError("there is no MARK before it");
    const size_t begin = marks_.back();
    marks_.pop_back();
    return PopFrom(begin);
  }
  // Pops the last value, or the mark if nothing follows it.
  absl::Status PopAny() {
    if (marks_.empty() || values_.size() > marks_.back()) return Pop().status();
    marks_.pop_back();
    return absl::OkStatus();
  }

  // Returns the only value left at the end.
  absl::StatusOr<const PickleValue*> Result() const {
    if (values_.size() != 1 || !marks_.empty()) {
      return absl::InvalidArgumentError("it leaves something other than one value");
    }
    return values_[0];
  }

 private:
  size_t SectionBegin() const { return marks_.empty() ? 0 : marks_.back(); }
  static absl::Status Missing() {
    return absl::InvalidArgumentError("there is not enough on the stack for it");
  }
  Values PopFrom(size_t begin) {
    Values values(values_.begin() + static_cast<std::ptrdiff_t>(begin), values_.end());
    values_.resize(begin);
    return values;
  }

  Values values_;
  std::vector<size_t> marks_;  // the stack's size at each
};

// Values by number, for reuse. Numbers are assigned in order, as every pickler does.
class PickleMemo {
 public:
  size_t size() const { return values_.size(); }

  absl::Status Put(size_t number, const PickleValue* value) {
    if (number > values_.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("memo ", number, ", but ", values_.size(), " is the next"));
    }
    if (number == values_.size()) values_.push_back(value);
    values_[number] = value;
    return absl::OkStatus();
  }
  absl::StatusOr<const PickleValue*> Get(size_t number) const {
    if (number >= values_.size()) {
      return absl::InvalidArgumentError(absl::StrCat("memo ", number, " was never stored"));
    }
    return values_[number];
  }

 private:
  std::vector<const PickleValue*> values_;
};

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_STACK_H_
