#include "core/data/sources/csv/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Record = std::vector<std::string>;

std::vector<Record> ReadAll(absl::string_view text, std::vector<int64_t>* lines = nullptr) {
  CsvReader reader(text);
  std::vector<Record> records;
  Record fields;
  while (true) {
    const absl::StatusOr<bool> any = reader.Next(&fields);
    EXPECT_TRUE(any.ok()) << any.status();
    if (!any.ok() || !*any) return records;
    records.push_back(fields);
    if (lines != nullptr) lines->push_back(reader.line());
  }
}

std::string ErrorOf(absl::string_view text) {
  CsvReader reader(text);
  Record fields;
  while (true) {
    const absl::StatusOr<bool> any = reader.Next(&fields);
    if (!any.ok()) return std::string(any.status().message());
    if (!*any) return "";
  }
}

TEST(CsvReaderTest, PlainFields) {
  EXPECT_THAT(ReadAll("a,b\n1, 2 \n,\n"),
              ElementsAre(Record{"a", "b"}, Record{"1", " 2 "}, Record{"", ""}));
}

TEST(CsvReaderTest, QuotedFieldsHoldCommasQuotesAndLines) {
  EXPECT_THAT(ReadAll("\"a,b\",\"say \"\"hi\"\"\"\n\"two\r\nlines\",\"\""),
              ElementsAre(Record{"a,b", "say \"hi\""}, Record{"two\r\nlines", ""}));
}

TEST(CsvReaderTest, LineEndsByteOrderMarkAndEmptyLines) {
  std::vector<int64_t> lines;
  EXPECT_THAT(ReadAll("\xEF\xBB\xBF\r\na,b\r\n\n\"c\nd\",e\n\nf,g", &lines),
              ElementsAre(Record{"a", "b"}, Record{"c\nd", "e"}, Record{"f", "g"}));
  EXPECT_THAT(lines, ElementsAre(2, 4, 7));
  EXPECT_TRUE(ReadAll("").empty());
  EXPECT_TRUE(ReadAll("\n\r\n").empty());
}

TEST(CsvReaderTest, ALastFieldMayBeEmpty) {
  EXPECT_THAT(ReadAll("a,\nb,"), ElementsAre(Record{"a", ""}, Record{"b", ""}));
}

TEST(CsvReaderTest, ErrorsNameTheLine) {
  for (const auto& [text, error] : {
           std::pair{"a,b\n\"c,d\ne,f\n", "line 2: a quote is opened and never closed"},
           {"a,b\n\"c\nd\"x,e\n", "line 3: text after the quote that closes a field"},
           {"a,b\nc,d\"e\n", "line 2: a quote within a field"},
       }) {
    EXPECT_THAT(ErrorOf(text), HasSubstr(error));
  }
}

}  // namespace
}  // namespace vit
