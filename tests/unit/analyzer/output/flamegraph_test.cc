// SPDX-License-Identifier: Apache-2.0
// The flame graph as page and as SVG.
#include "analyzer/output/flamegraph.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/profiles.h"

namespace heapecho::output {
namespace {

using testing::HasSubstr;
using testing::Not;

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// What lies in the page's element for data.
std::string DataOf(const std::string& page) {
  const std::string begin = "id=\"profile\">";
  const size_t from = page.find(begin) + begin.size();
  return page.substr(from, page.find("</script>", from) - from);
}

model::Profile SmallProfile() {
  return MakeProfile(
      {{{Python("view", "/srv/views.py", 7), Native("malloc", "libc.so.6")}, {3000, 30, 400, 9}},
       {{Python("view", "/srv/views.py", 9), Native("malloc", "libc.so.6")}, {1000, 10, 900, 16}},
       {{Native("main", "app"), Native("malloc", "libc.so.6")}, {500, 5, 100, 4}}});
}

TEST(FlamegraphHtml, SaysInItsHeadWhatIsShown) {
  FlamegraphOptions options;
  options.scope = "gunicorn on web-1: live bytes of 2 recordings";
  options.processes = {"gunicorn 412, killed"};
  const std::string page = FlamegraphHtml(SmallProfile(), options);
  EXPECT_THAT(page, HasSubstr("<h1>4.39 KiB ± 37 B live</h1>"));
  EXPECT_THAT(page, HasSubstr("gunicorn on web-1: live bytes of 2 recordings"));
  EXPECT_THAT(page, HasSubstr("<li>gunicorn 412, killed</li>"));
}

TEST(FlamegraphHtml, HoldsTheTreeAsOneTableOfNamesAndOneOfNodes) {
  // Two frames of view() are one box when lines are not asked for; the three names of modules,
  // files and functions stand once each; only nodes in which stacks end have figures.
  EXPECT_TRUE(
      IsGolden("flamegraph/two_roots.json", DataOf(FlamegraphHtml(SmallProfile(), {})) + "\n"));
}

TEST(FlamegraphHtml, NeedsNothingButItself) {
  const std::string page = FlamegraphHtml(ServiceProfile(), {});
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  EXPECT_THAT(page, Not(HasSubstr(" src=")));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(FlamegraphOfAComparison, HoldsWhatWasBeforeBesideWhatIsAfter) {
  EXPECT_TRUE(
      IsGolden("flamegraph/changed.json", DataOf(FlamegraphHtml(ChangedProfile(), {})) + "\n"));
  EXPECT_THAT(FlamegraphHtml(ChangedProfile(), {}),
              HasSubstr("<h1>live: +2.25 MiB ± 724 KiB</h1>"));
  EXPECT_THAT(FlamegraphHtml(ChangedProfile(), {}), HasSubstr("two standard errors"));
}

TEST(FlamegraphOfAComparison, IsRedWhereItGrewBlueWhereItIsGoneAndGreyWhereItIsNotSure) {
  // Boxes as wide as the larger of both: 4, 2.25 and 1 MiB of 7.25.
  EXPECT_TRUE(IsGolden("flamegraph/changed.svg", FlamegraphSvg(ChangedProfile(), {})));
}

// A name, in each place where a name can stand.
struct Outputs {
  std::string page, svg;
};
Outputs WithName(const std::string& name) {
  model::Profile profile =
      MakeProfile({{{Native(name, name, name, 3), Python(name, name, 4)}, {1000, 10, 0, 0}},
                   {{{model::Frame::Kind::kSynthetic, name, "", 0, "", false}}, {100, 1, 0, 0}}});
  profile.warnings = {name};
  const FlamegraphOptions options = {model::Unit::kBytes, true, name, {name}};
  return {FlamegraphHtml(profile, options), FlamegraphSvg(profile, options)};
}

class HostileName : public testing::TestWithParam<std::string> {};

TEST_P(HostileName, BecomesNeitherMarkupNorScript) {
  const Outputs harmless = WithName("harmless");
  const Outputs hostile = WithName(GetParam());
  for (const char* tag : {"<script", "</script", "<!--", "<img", "<svg", "<b", "<li>", "</li>",
                          "<style", "</style", "<iframe"}) {
    EXPECT_EQ(Count(hostile.page, tag), Count(harmless.page, tag)) << tag;
  }
  for (const char* tag :
       {"<script", "<!--", "<![CDATA[", "<img", "<g>", "<text", "</title>", "<foreignObject"}) {
    EXPECT_EQ(Count(hostile.svg, tag), Count(harmless.svg, tag)) << tag;
  }
  // Quotes of attributes come in pairs that the outputs write themselves.
  EXPECT_EQ(Count(hostile.svg, "\""), Count(harmless.svg, "\""));
}

INSTANTIATE_TEST_SUITE_P(
    Each, HostileName,
    testing::Values("</script><script>hacked=1</script>", "<!--<script>",
                    "\"><img src=x onerror=hacked=1>", "]]></title><script>hacked=1</script>",
                    "<![CDATA[<script>hacked=1</script>]]>", "{{SCRIPT}}{{PROFILE}}",
                    "&lt;script&gt;", "</li><li onclick=hacked=1>",
                    std::string("\0<script>\x80\xc0\xbcscript>", 20), "\\\"</scr\\u0069pt>"));

TEST(FlamegraphHtml, FillsNoPlaceThatANameNames) {
  const Outputs outputs = WithName("{{SCRIPT}}");
  EXPECT_EQ(Count(outputs.page, "{{SCRIPT}}"), Count(outputs.page, "SCRIPT"));
}

TEST(FlamegraphSvg, IsTheGolden) {
  FlamegraphOptions options;
  options.scope = "gunicorn on web-1: live bytes of 2 recordings";
  EXPECT_TRUE(IsGolden("flamegraph/two_roots.svg", FlamegraphSvg(SmallProfile(), options)));
}

TEST(FlamegraphSvg, NeedsNoScript) {
  const std::string svg = FlamegraphSvg(ServiceProfile(), {});
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, HasSubstr("<title>leaky_view\n/srv/shop/views.py:88\n"));
}

TEST(Flamegraph, OfNothingIsAPageAndAnSvgAllTheSame) {
  EXPECT_THAT(FlamegraphHtml(model::Profile{}, {}), HasSubstr("0 B ± 0 B live"));
  EXPECT_THAT(FlamegraphSvg(model::Profile{}, {}), HasSubstr("</svg>"));
}

TEST(Flamegraph, OfTheSameProfileHasTheSameBytes) {
  EXPECT_EQ(FlamegraphHtml(ServiceProfile(), {}), FlamegraphHtml(ServiceProfile(), {}));
  EXPECT_EQ(FlamegraphSvg(ServiceProfile(), {}), FlamegraphSvg(ServiceProfile(), {}));
}

TEST(FlamegraphHtml, OfTwentyThousandStacksStaysBelowTenMegabytes) {
  EXPECT_LT(FlamegraphHtml(LargeProfile(20000, 64), {}).size(), 10u << 20);
}

}  // namespace
}  // namespace heapecho::output
