// What vitctl's output goes to, and what can be shown there.
#ifndef VIT_CLIENT_VITCTL_VIEW_TERMINAL_H_
#define VIT_CLIENT_VITCTL_VIEW_TERMINAL_H_

#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace vit {

struct Terminal {
  bool out_is_tty = false;
  bool err_is_tty = false;
  bool color = false;  // escape sequences for colours may be written to stdout
  bool utf8 = false;   // the locale shows UTF-8
  // Width at this moment, which changes when a window is resized. 0: no limit (a pipe or a file).
  std::function<int()> columns = [] { return 0; };
};

// The process's own standard output. Colours only on a terminal, not with NO_COLOR set to anything
// (https://no-color.org) and not with TERM=dumb. The width is COLUMNS, else what the terminal
// reports.
Terminal DetectTerminal();

enum class Style { kPlain, kBold, kDim, kGreen, kRed, kYellow, kCyan };

// `text` in `style`, or `text` itself if `color` is false or the style plain.
std::string Paint(absl::string_view text, Style style, bool color);

// Columns that `text`, UTF-8 without escape sequences, takes on a terminal: East Asian wide
// characters take two, combining ones none.
int DisplayWidth(absl::string_view text);

// `text` cut to `width` columns, with an ellipsis in place of the rest.
std::string Ellipsize(absl::string_view text, int width, bool utf8);
// Like Ellipsize, but cuts the start of `text`.
std::string EllipsizeStart(absl::string_view text, int width, bool utf8);

// `text` with control characters replaced by visible escapes: what comes from outside must not move
// the cursor.
std::string Printable(absl::string_view text);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_VIEW_TERMINAL_H_
