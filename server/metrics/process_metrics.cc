#include "server/metrics/process_metrics.h"

#include <prometheus/metric_family.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <sstream>
#include <utility>

namespace vit {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void AddSample(MetricFamily* family, double value,
               std::initializer_list<std::pair<const char*, std::string>> labels = {}) {
  ClientMetric metric;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  (family->type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family->metric.push_back(std::move(metric));
}

MetricFamily Single(const char* name, const char* help, MetricType type, double value) {
  MetricFamily family = Family(name, help, type);
  AddSample(&family, value);
  return family;
}

// Returns the fields of /proc/self/stat from the third, "state", on; empty if it cannot be read.
// See proc(5).
std::vector<std::string> ReadStat() {
  std::ifstream file("/proc/self/stat");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  // The second field is the program's name in parentheses, which may itself hold spaces and
  // parentheses.
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return {};
  std::istringstream rest(text.substr(end + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

// Returns when the machine started, in Unix time; 0 if it cannot be read.
double BootTimeSeconds() {
  std::ifstream file("/proc/stat");
  std::string key;
  double value = 0;
  while (file >> key) {
    if (key == "btime" && file >> value) return value;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

int CountOpenFiles() {
  std::error_code error;
  int count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  return count > 0 ? count - 1 : 0;  // without the one that lists them
}

void AppendProcess(std::vector<MetricFamily>* out) {
  // Places in ReadStat of fields 14, 15, 20, 22, 23 and 24 of proc(5).
  constexpr size_t kUserTime = 11, kSystemTime = 12, kThreads = 17, kStartTime = 19, kVirtual = 20,
                   kResident = 21;
  const std::vector<std::string> stat = ReadStat();
  if (stat.size() > kResident) {
    const auto number = [&](size_t field) { return std::stod(stat[field]); };
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    out->push_back(Single("process_cpu_seconds_total",
                          "User and system CPU time spent, in seconds.", MetricType::Counter,
                          (number(kUserTime) + number(kSystemTime)) / ticks));
    out->push_back(
        Single("process_threads", "Threads of the process.", MetricType::Gauge, number(kThreads)));
    out->push_back(Single("process_start_time_seconds", "When the process started, in Unix time.",
                          MetricType::Gauge, BootTimeSeconds() + number(kStartTime) / ticks));
    out->push_back(Single("process_virtual_memory_bytes", "Virtual memory, in bytes.",
                          MetricType::Gauge, number(kVirtual)));
    out->push_back(Single("process_resident_memory_bytes", "Resident memory, in bytes.",
                          MetricType::Gauge,
                          number(kResident) * static_cast<double>(sysconf(_SC_PAGESIZE))));
  }
  out->push_back(
      Single("process_open_fds", "Open file descriptors.", MetricType::Gauge, CountOpenFiles()));
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out->push_back(Single("process_max_fds", "Most file descriptors that may be open.",
                          MetricType::Gauge, static_cast<double>(limit.rlim_cur)));
  }
}

}  // namespace

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  std::vector<MetricFamily> families;
  MetricFamily memory =
      Family("vitd_device_memory_bytes",
             "Memory of the compute device: used by this process, and total.", MetricType::Gauge);
  const Device::Memory bytes = device_.memory();
  AddSample(&memory, static_cast<double>(bytes.used_bytes),
            {{"device", device_.name()}, {"kind", "used"}});
  AddSample(&memory, static_cast<double>(bytes.total_bytes),
            {{"device", device_.name()}, {"kind", "total"}});
  families.push_back(std::move(memory));
  MetricFamily build = Family(
      "vitd_build_info", "Always 1; its labels describe the build and device.", MetricType::Gauge);
  AddSample(&build, 1,
            {{"version", VIT_VERSION}, {"torch", TorchVersion()}, {"device", device_.name()}});
  families.push_back(std::move(build));
  AppendProcess(&families);
  return families;
}

}  // namespace vit
