#include "core/tensor_file/json_events.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

using Json = nlohmann::json;

// Adapts JsonEvents to the parser's interface; returning false stops the parser.
class Adapter : public nlohmann::json_sax<Json> {
 public:
  explicit Adapter(JsonEvents* events) : events_(events) {}
  const absl::Status& status() const { return status_; }

  bool null() override { return Keep(events_->Other()); }
  bool boolean(bool) override { return Keep(events_->Other()); }
  bool number_integer(number_integer_t) override { return Keep(events_->Other()); }
  bool number_unsigned(number_unsigned_t value) override { return Keep(events_->Whole(value)); }
  bool number_float(number_float_t, const string_t&) override { return Keep(events_->Other()); }
  bool string(string_t& value) override { return Keep(events_->Text(std::move(value))); }
  bool binary(binary_t&) override { return Keep(events_->Other()); }
  bool start_object(size_t) override { return Keep(events_->Start(/*is_object=*/true)); }
  bool start_array(size_t) override { return Keep(events_->Start(/*is_object=*/false)); }
  bool key(string_t& value) override { return Keep(events_->Key(std::move(value))); }
  bool end_object() override { return Keep(events_->End()); }
  bool end_array() override { return Keep(events_->End()); }
  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    return Keep(absl::InvalidArgumentError(absl::StrCat("not valid JSON at byte ", position)));
  }

 private:
  bool Keep(absl::Status status) {
    status_ = std::move(status);
    return status_.ok();
  }

  JsonEvents* events_;
  absl::Status status_;
};

}  // namespace

absl::Status ParseJson(absl::string_view text, JsonEvents* events) {
  Adapter adapter(events);
  Json::sax_parse(text.begin(), text.end(), &adapter);
  return adapter.status();
}

}  // namespace vit
