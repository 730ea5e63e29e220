#include "server/services/export_stream.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "server/net/grpc_status.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1 << 20;

}  // namespace

ExportStream::ExportStream(const absl::Status& refusal) { Finish(ToGrpcStatus(refusal)); }

void ExportStream::End(const grpc::Status& status) {
  file_.close();
  std::error_code error;
  fs::remove_all(directory_, error);
  Finish(status);
}

void ExportStream::Start(TaskPool* pool, Fill fill) {
  const absl::Status queued = pool->Run([this, fill = std::move(fill)] {
    if (const absl::Status status = Prepare(fill); !status.ok()) return End(ToGrpcStatus(status));
    SendNext();
  });
  if (!queued.ok()) End(ToGrpcStatus(queued));
}

absl::Status ExportStream::Prepare(const Fill& fill) {
  VIT_RETURN_IF_ERROR(CreateDirectories(directory_));
  VIT_RETURN_IF_ERROR(fill(directory_, piece_.mutable_model()));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    files_.push_back(entry.path());
  }
  if (error) return absl::ErrnoToStatus(error.value(), directory_.string());
  std::sort(files_.rbegin(), files_.rend());
  return absl::OkStatus();
}

absl::Status ExportStream::ReadPiece() {
  const fs::path& path = files_.back();
  if (!file_.is_open()) {
    file_.open(path, std::ios::binary);
    sent_any_of_file_ = false;
  }
  piece_.set_file(path.filename().string());
  std::string* data = piece_.mutable_data();
  data->resize(kPieceBytes);
  file_.read(data->data(), static_cast<std::streamsize>(data->size()));
  if (file_.bad() || !file_.is_open()) {
    return absl::InternalError(absl::StrCat("cannot read ", path.string()));
  }
  data->resize(static_cast<size_t>(file_.gcount()));
  return absl::OkStatus();
}

void ExportStream::SendNext() {
  while (!files_.empty()) {
    if (const absl::Status read = ReadPiece(); !read.ok()) return End(ToGrpcStatus(read));
    const bool send = !piece_.data().empty() || !sent_any_of_file_;
    if (file_.eof()) {
      file_.close();
      file_.clear();
      files_.pop_back();
    }
    if (!send) continue;
    sent_any_of_file_ = true;
    return StartWrite(&piece_);
  }
  End(grpc::Status::OK);
}

void ExportStream::OnWriteDone(bool ok) {
  if (!ok) return End(grpc::Status(grpc::StatusCode::CANCELLED, "the client went away"));
  piece_.Clear();
  SendNext();
}

}  // namespace vit
