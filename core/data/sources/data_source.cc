#include "core/data/sources/data_source.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/data/sources/cifar.h"
#include "core/data/sources/csv/csv_list.h"
#include "core/data/sources/folder/image_folder.h"
#include "core/data/sources/packed_data.h"
#include "core/data/sources/shapes.h"
#include "core/data/sources/tar/tar_shards.h"

namespace vit {

const char kExpectedSources[] =
    "expected shapes:, shapes:hard, folder:PATH, csv:PATH, wds:PATH, packed:PATH, cifar10:PATH or "
    "cifar100:PATH";

absl::StatusOr<DataSource> ParseDataSource(absl::string_view source) {
  DataSource parsed;
  const size_t colon = source.find(':');
  if (colon != absl::string_view::npos) {
    absl::StrAppend(&parsed.scheme, source.substr(0, colon));
    absl::StrAppend(&parsed.path, source.substr(colon + 1));
  }
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.source is '", source, "': ", why, "; ", kExpectedSources));
  };
  if (parsed.scheme == "shapes") {
    if (!parsed.path.empty() && parsed.path != "hard") return bad("unknown variant of shapes");
    return parsed;
  }
  constexpr absl::string_view kWithPath[] = {"folder", "csv",     "wds",
                                             "packed", "cifar10", "cifar100"};
  if (std::find(std::begin(kWithPath), std::end(kWithPath), parsed.scheme) == std::end(kWithPath)) {
    return bad(parsed.scheme.empty() ? "it does not name a kind of source"
                                     : "unknown kind of source");
  }
  if (parsed.path.empty()) return bad("the path is missing");
  if (parsed.path.front() != '/') return bad("the path is not absolute");
  return parsed;
}

absl::StatusOr<std::shared_ptr<const DataSet>> OpenSource(const DataSource& source,
                                                          const vit::v1::DataConfig& config,
                                                          const DataSetOptions& options) {
  if (source.scheme == "shapes") {
    return OpenShapes(source.path == "hard", config.shapes(), options.image_size);
  }
  if (source.scheme == "folder") return OpenImageFolder(source.path, config, options);
  if (source.scheme == "csv") return OpenCsvList(source.path, config, options);
  if (source.scheme == "wds") return OpenTarShards(source.path, config, options);
  if (source.scheme == "packed") return OpenPackedData(source.path, config, options);
  return OpenCifar(source.path, source.scheme == "cifar10" ? 10 : 100, options);
}

}  // namespace vit
