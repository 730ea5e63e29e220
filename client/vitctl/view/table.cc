#include "client/vitctl/view/table.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

constexpr int kGap = 2;

std::string Pad(int n) { return std::string(std::max(0, n), ' '); }

// Which columns are drawn, and how wide.
struct Layout {
  std::vector<int> widths;
  std::vector<bool> shown;

  int Total() const {
    int total = -kGap;
    for (size_t i = 0; i < widths.size(); ++i) {
      if (shown[i]) total += widths[i] + kGap;
    }
    return total;
  }
};

void DropUntilFits(const std::vector<Table::Column>& columns, int width, Layout* layout) {
  while (layout->Total() > width) {
    int victim = -1;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!layout->shown[i] || columns[i].drop == 0) continue;
      if (victim < 0 || columns[i].drop > columns[victim].drop) victim = static_cast<int>(i);
    }
    if (victim < 0) return;
    layout->shown[victim] = false;
  }
}

void ShortenUntilFits(const std::vector<Table::Column>& columns, int width, Layout* layout) {
  while (layout->Total() > width) {
    int widest = -1;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!layout->shown[i] || columns[i].min_width == 0) continue;
      if (layout->widths[i] <= columns[i].min_width) continue;
      if (widest < 0 || layout->widths[i] > layout->widths[widest]) widest = static_cast<int>(i);
    }
    if (widest < 0) return;
    --layout->widths[widest];
  }
}

// Gives the remaining room back to the columns that were narrowed, the narrowest first.
void WidenIntoRoom(const std::vector<int>& natural, int width, Layout* layout) {
  for (int room = width - layout->Total(); room > 0; --room) {
    int narrowest = -1;
    for (size_t i = 0; i < natural.size(); ++i) {
      if (!layout->shown[i] || layout->widths[i] >= natural[i]) continue;
      if (narrowest < 0 || layout->widths[i] < layout->widths[narrowest]) {
        narrowest = static_cast<int>(i);
      }
    }
    if (narrowest < 0) return;
    ++layout->widths[narrowest];
  }
}

}  // namespace

std::string Table::Render(int width, bool color, bool utf8) const {
  std::vector<int> natural;
  for (size_t i = 0; i < columns_.size(); ++i) {
    natural.push_back(DisplayWidth(columns_[i].title));
    for (const auto& row : rows_) natural[i] = std::max(natural[i], DisplayWidth(row[i].text));
  }
  Layout layout;
  layout.widths = natural;
  layout.shown.assign(columns_.size(), true);
  if (width > 0) {
    // One long name should not cost whole columns: those that can be shortened count with twice
    // their least width.
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].min_width > 0) {
        layout.widths[i] = std::min(natural[i], 2 * columns_[i].min_width);
      }
    }
    DropUntilFits(columns_, width, &layout);
    ShortenUntilFits(columns_, width, &layout);
    WidenIntoRoom(natural, width, &layout);
  }

  std::string out;
  const auto append_line = [&](auto&& cell_of) {
    std::string line;
    int pending = 0;  // blanks owed before the next cell, so that none trail
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!layout.shown[i]) continue;
      const Cell& cell = cell_of(i);
      const std::string text = columns_[i].keep_end
                                   ? EllipsizeStart(cell.text, layout.widths[i], utf8)
                                   : Ellipsize(cell.text, layout.widths[i], utf8);
      const int rest = layout.widths[i] - DisplayWidth(text);
      const bool right = columns_[i].align == Align::kRight;
      if (!text.empty()) {
        absl::StrAppend(&line, Pad(pending + (right ? rest : 0)), Paint(text, cell.style, color));
        pending = (right ? 0 : rest) + kGap;
      } else {
        pending += layout.widths[i] + kGap;
      }
    }
    absl::StrAppend(&out, line, "\n");
  };
  std::vector<Cell> header;
  header.reserve(columns_.size());
  for (const Column& column : columns_) header.emplace_back(column.title, Style::kBold);
  append_line([&](size_t i) -> const Cell& { return header[i]; });
  for (const auto& row : rows_) append_line([&](size_t i) -> const Cell& { return row[i]; });
  return out;
}

std::string RenderFields(const std::vector<std::pair<std::string, Table::Cell>>& fields, int width,
                         bool color, bool utf8) {
  int label_width = 0;
  for (const auto& [label, value] : fields) {
    label_width = std::max(label_width, DisplayWidth(label));
  }
  std::string out;
  for (const auto& [label, value] : fields) {
    const int room = width - label_width - kGap;
    const std::string text =
        width > 0 ? Ellipsize(value.text, std::max(room, 1), utf8) : value.text;
    absl::StrAppend(&out, Paint(label, Style::kDim, color),
                    Pad(label_width - DisplayWidth(label) + kGap), Paint(text, value.style, color),
                    "\n");
  }
  return out;
}

}  // namespace vit
