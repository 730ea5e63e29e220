// Aligned columns that fit the terminal.
#ifndef VIT_CLIENT_VITCTL_VIEW_TABLE_H_
#define VIT_CLIENT_VITCTL_VIEW_TABLE_H_

#include <string>
#include <vector>

#include "client/vitctl/view/terminal.h"

namespace vit {

// A table with a header line, columns two spaces apart, no trailing blanks.
//
// If there is not enough room, columns with the highest `drop` are left out, one by one, until the
// rest fits with the columns that have a `min_width` at no more than twice that; these are
// shortened further only if nothing is left to drop, and take the remaining room. Lines are never
// wrapped here.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
    int drop = 0;           // 0: never dropped
    int min_width = 0;      // 0: never shortened
    bool keep_end = false;  // shortening cuts its start, as suits a path
  };
  struct Cell {
    // Implicit, so that a row is a list of texts.
    // NOLINTNEXTLINE(google-explicit-constructor)
    Cell(std::string text, Style style = Style::kPlain) : text(std::move(text)), style(style) {}
    Cell(const char* text) : text(text) {}  // NOLINT(google-explicit-constructor)
    std::string text;
    Style style = Style::kPlain;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell for each column.
  void AddRow(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }

  // `width`: in columns; 0 is no limit.
  std::string Render(int width, bool color, bool utf8) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "label  value" lines with the labels aligned; an empty label continues the value above. Values
// longer than the width are cut.
std::string RenderFields(const std::vector<std::pair<std::string, Table::Cell>>& fields, int width,
                         bool color, bool utf8);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_TABLE_H_
