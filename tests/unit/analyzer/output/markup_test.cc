// SPDX-License-Identifier: Apache-2.0
// Names made safe for the page.
#include "analyzer/output/markup.h"

#include <string>

#include "gtest/gtest.h"

namespace heapecho::output {
namespace {

using std::string_literals::operator""s;

TEST(CleanText, KeepsEveryWellFormedCharacter) {
  const std::string text = "operator<< ÄÖ 漢字 🐍 \t\n";
  EXPECT_EQ(CleanText(text), text);
}

TEST(CleanText, ReplacesEachByteThatIsNoCharacter) {
  EXPECT_EQ(CleanText("a\xff"
                      "b"),
            "a\uFFFD"
            "b");
  EXPECT_EQ(CleanText("\xc3"), "\uFFFD");                                // cut off
  EXPECT_EQ(CleanText("\xc0\xbc"), "\uFFFD\uFFFD");                      // "<", too long
  EXPECT_EQ(CleanText("\xe0\x80\xbc"), "\uFFFD\uFFFD\uFFFD");            // the same, longer
  EXPECT_EQ(CleanText("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");            // half of a surrogate pair
  EXPECT_EQ(CleanText("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
}

TEST(CleanText, ReplacesWhatXmlForbids) {
  EXPECT_EQ(CleanText("a\0b\x1b[31m"s),
            "a\uFFFD"
            "b\uFFFD[31m");
  EXPECT_EQ(CleanText("\xef\xbf\xbe"), "\uFFFD\uFFFD\uFFFD");  // U+FFFE
}

TEST(EscapeMarkup, LeavesNothingThatOpensATagOrClosesAQuote) {
  EXPECT_EQ(EscapeMarkup("<b a=\"'\">&amp;"), "&lt;b a=&quot;&#39;&quot;&gt;&amp;amp;");
}

TEST(JsonString, CannotCloseTheScriptElementItLiesIn) {
  EXPECT_EQ(JsonString("</script><!--&"), R"("\u003c/script\u003e\u003c!--\u0026")");
}

TEST(JsonString, EscapesQuotesBackslashesAndLineBreaks) {
  EXPECT_EQ(JsonString("a\"b\\c\nd"), R"("a\"b\\c\u000ad")");
}

}  // namespace
}  // namespace heapecho::output
