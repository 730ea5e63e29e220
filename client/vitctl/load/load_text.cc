#include "client/vitctl/load/load_text.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.*f", duration < absl::Milliseconds(100) ? 2 : 0,
                         absl::ToDoubleMilliseconds(duration));
}

nlohmann::ordered_json LatencyJson(const LatencyHistogram& latencies) {
  return {{"p50", absl::ToDoubleMilliseconds(latencies.Percentile(0.5))},
          {"p90", absl::ToDoubleMilliseconds(latencies.Percentile(0.9))},
          {"p99", absl::ToDoubleMilliseconds(latencies.Percentile(0.99))},
          {"max", absl::ToDoubleMilliseconds(latencies.max())}};
}

Table::Cell ErrorsCell(const LoadReport& report) {
  if (report.errors.empty()) return {"0"};
  return {absl::StrJoin(report.errors, "; ",
                        [](std::string* out, const auto& error) {
                          absl::StrAppend(out, FormatCount(error.second.count()), " ",
                                          absl::StatusCodeToString(error.first), ", p99 ",
                                          Milliseconds(error.second.Percentile(0.99)), " ms");
                        }),
          Style::kRed};
}

}  // namespace

Table LoadTable(const std::vector<Measurement>& measurements) {
  using Align = Table::Align;
  const bool open_loop = !measurements.empty() && measurements[0].options.rate.has_value();
  Table table({{open_loop ? "RATE" : "CLIENTS", Align::kRight},
               {"REQUESTS/S", Align::kRight},
               {"IMAGES/S", Align::kRight},
               {"P50 MS", Align::kRight},
               {"P90 MS", Align::kRight},
               {"P99 MS", Align::kRight},
               {"MAX MS", Align::kRight},
               {"ERRORS"}});
  for (const Measurement& measured : measurements) {
    const LoadReport& report = measured.report;
    const auto latency = [&](absl::Duration value) {
      return report.succeeded() > 0 ? Milliseconds(value) : "-";
    };
    table.AddRow(
        {open_loop ? absl::StrCat(*measured.options.rate) : FormatCount(measured.options.clients),
         FormatSpeed(report.requests_per_second()),
         FormatSpeed(report.requests_per_second() * measured.images_per_request),
         latency(report.latencies.Percentile(0.5)), latency(report.latencies.Percentile(0.9)),
         latency(report.latencies.Percentile(0.99)), latency(report.latencies.max()),
         ErrorsCell(report)});
  }
  return table;
}

nlohmann::ordered_json LoadJson(const std::vector<Measurement>& measurements) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Measurement& measured : measurements) {
    const LoadReport& report = measured.report;
    nlohmann::ordered_json entry = {{"clients", measured.options.clients}};
    if (measured.options.rate.has_value()) entry["rate"] = *measured.options.rate;
    entry["seconds"] = absl::ToDoubleSeconds(report.elapsed);
    entry["requests"] = report.succeeded();
    entry["requests_per_second"] = report.requests_per_second();
    entry["images_per_second"] = report.requests_per_second() * measured.images_per_request;
    if (report.succeeded() > 0) {
      entry["latency_ms"] = LatencyJson(report.latencies);
    }
    entry["errors"] = nlohmann::ordered_json::object();
    for (const auto& [code, latencies] : report.errors) {
      entry["errors"][absl::StatusCodeToString(code)] = {{"requests", latencies.count()},
                                                         {"latency_ms", LatencyJson(latencies)}};
    }
    all.push_back(std::move(entry));
  }
  return all;
}

}  // namespace vit
