// SPDX-License-Identifier: Apache-2.0
// draw_profile service|large|hostile|steps|changed html|svg|folded: a hand-made profile on standard output,
// for the tests in a browser, and to look at.
#include <cstdio>
#include <string>

#include "analyzer/output/flamegraph.h"
#include "analyzer/output/folded.h"
#include "tests/unit/analyzer/output/profiles.h"

namespace heapecho::output {
namespace {

constexpr char kHostile[] =
    "</script></title><script>hacked=1</script><img src=x onerror=hacked=1>";

model::Profile Steps() {
  const model::Frame main = Native("main", "app");
  const model::Frame left = Native("left", "libleft.so", "src/left.cc", 12);
  return MakeProfile({{{main, left, Native("deep", "libleft.so")}, {50 * 1024, 50, 0, 0}},
                      {{main, left}, {10 * 1024, 10, 0, 0}},
                      {{main, Python("right", "right.py")}, {40 * 1024, 40, 0, 0}}});
}

model::Profile Hostile() {
  model::Profile profile = MakeProfile(
      {{{Native(kHostile, kHostile, kHostile, 3), Python("]]>", "a.py", 4)}, {1000, 10, 0, 0}}});
  profile.warnings = {kHostile};
  return profile;
}

int Draw(const std::string& name, const std::string& format) {
  const model::Profile profile = name == "large"     ? LargeProfile(20000, 64)
                                 : name == "hostile" ? Hostile()
                                 : name == "steps"   ? Steps()
                                 : name == "changed" ? ChangedProfile()
                                                     : ServiceProfile();
  FlamegraphOptions options;
  options.scope = name == "hostile" ? kHostile : "gunicorn on web-1: live bytes of 2 recordings";
  options.processes = {"gunicorn 411, running, 1,204 samples",
                       "gunicorn 412, killed, 17,142 samples"};
  const std::string text = format == "html"  ? FlamegraphHtml(profile, options)
                           : format == "svg" ? FlamegraphSvg(profile, options)
                                             : Folded(profile, {});
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}

}  // namespace
}  // namespace heapecho::output

int main(int argc, char** argv) { return argc == 3 ? heapecho::output::Draw(argv[1], argv[2]) : 2; }
