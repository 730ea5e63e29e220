#include "client/vitctl/view/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace vit {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool LocaleIsUtf8() {
  // The first that is set decides, as in setlocale(3).
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = absl::AsciiStrToLower(Environment(name));
    if (!value.empty()) {
      return absl::StrContains(value, "utf-8") || absl::StrContains(value, "utf8");
    }
  }
  return false;
}

int TerminalColumns() {
  int columns = 0;
  if (absl::SimpleAtoi(Environment("COLUMNS"), &columns) && columns > 0) return columns;
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// Takes one character off the front of `text`. Bytes that are not UTF-8 come back one by one, as
// U+FFFD.
char32_t NextCharacter(absl::string_view* text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>((*text)[i]); };
  const unsigned char first = byte(0);
  size_t length = 1;
  char32_t c = first;
  if (first >= 0xf0 && first < 0xf8) {
    length = 4;
    c = first & 0x07;
  } else if (first >= 0xe0 && first < 0xf0) {
    length = 3;
    c = first & 0x0f;
  } else if (first >= 0xc0 && first < 0xe0) {
    length = 2;
    c = first & 0x1f;
  } else if (first >= 0x80) {
    c = 0xfffd;
  }
  for (size_t i = 1; i < length; ++i) {
    if (i >= text->size() || (byte(i) & 0xc0) != 0x80) {
      length = 1;
      c = 0xfffd;
      break;
    }
    c = (c << 6) | (byte(i) & 0x3f);
  }
  text->remove_prefix(length);
  return c;
}

// The blocks of Unicode's East Asian Width W and F that occur in running text, and the combining
// marks.
int CharacterWidth(char32_t c) {
  if ((c >= 0x0300 && c <= 0x036f) || (c >= 0x200b && c <= 0x200f) ||
      (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe00 && c <= 0xfe0f)) {
    return 0;
  }
  const bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                    (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
                    (c >= 0x20000 && c <= 0x3fffd);
  return wide ? 2 : 1;
}

const char* Sequence(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGreen:
      return "\x1b[32m";
    case Style::kRed:
      return "\x1b[31m";
    case Style::kYellow:
      return "\x1b[33m";
    case Style::kCyan:
      return "\x1b[36m";
  }
  return "";
}

}  // namespace

Terminal DetectTerminal() {
  Terminal terminal;
  terminal.out_is_tty = isatty(STDOUT_FILENO) != 0;
  terminal.err_is_tty = isatty(STDERR_FILENO) != 0;
  const bool dumb = Environment("TERM") == "dumb";
  terminal.color = terminal.out_is_tty && !dumb && Environment("NO_COLOR").empty();
  // A terminal that cannot move its cursor gets the plain lines of a pipe.
  if (dumb) terminal.out_is_tty = false;
  terminal.utf8 = LocaleIsUtf8();
  if (isatty(STDOUT_FILENO) != 0) terminal.columns = TerminalColumns;
  return terminal;
}

std::string Paint(absl::string_view text, Style style, bool color) {
  if (!color || style == Style::kPlain) return std::string(text);
  return absl::StrCat(Sequence(style), text, "\x1b[0m");
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  while (!text.empty()) width += CharacterWidth(NextCharacter(&text));
  return width;
}

std::string Ellipsize(absl::string_view text, int width, bool utf8) {
  if (DisplayWidth(text) <= width) return std::string(text);
  const absl::string_view ellipsis = utf8 ? "…" : "~";
  if (width <= 0) return "";
  absl::string_view rest = text;
  int used = 0;
  while (!rest.empty()) {
    absl::string_view after = rest;
    const int next = CharacterWidth(NextCharacter(&after));
    if (used + next > width - 1) break;
    used += next;
    rest = after;
  }
  return absl::StrCat(text.substr(0, text.size() - rest.size()), ellipsis);
}

std::string EllipsizeStart(absl::string_view text, int width, bool utf8) {
  int excess = DisplayWidth(text) - width;
  if (excess <= 0) return std::string(text);
  if (width <= 0) return "";
  ++excess;  // for the ellipsis
  while (excess > 0 && !text.empty()) excess -= CharacterWidth(NextCharacter(&text));
  return absl::StrCat(utf8 ? "…" : "~", text);
}

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += ' ';
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", byte);
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace vit
