// SPDX-License-Identifier: Apache-2.0
// draw_profile service|large html|svg|folded: a hand-made profile on standard output, for tests in
// a browser.
#include <cstdio>
#include <string>

#include "analyzer/output/flamegraph.h"
#include "analyzer/output/folded.h"
#include "tests/unit/analyzer/output/profiles.h"

int main(int argc, char** argv) {
  using namespace heapecho;  // NOLINT: a program of one function
  if (argc != 3) return 2;
  const model::Profile profile =
      std::string(argv[1]) == "large" ? output::LargeProfile(20000, 64) : output::ServiceProfile();
  const output::FlamegraphOptions options = {
      model::Unit::kBytes,
      false,
      "gunicorn shop.wsgi on web-1: 3 recordings, 2025-01-01 09:30 UTC",
      {"gunicorn 411 (master), running, 1,204 samples", "gunicorn 412, killed, 17,142 samples"}};
  const std::string format = argv[2];
  const std::string text = format == "html"  ? output::FlamegraphHtml(profile, options)
                           : format == "svg" ? output::FlamegraphSvg(profile, options)
                                             : output::Folded(profile, {});
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
