// SPDX-License-Identifier: Apache-2.0
// Profiles made by hand; the contract is in the header.
#include "tests/unit/analyzer/output/profiles.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heapecho::output {

model::Profile MakeProfile(std::vector<HandMadeStack> stacks, model::Value value) {
  model::Profile profile;
  profile.value = value;
  for (const HandMadeStack& stack : stacks) {
    profile.frames.insert(profile.frames.end(), stack.frames.begin(), stack.frames.end());
  }
  std::sort(profile.frames.begin(), profile.frames.end());
  profile.frames.erase(std::unique(profile.frames.begin(), profile.frames.end()),
                       profile.frames.end());
  std::map<std::pair<std::vector<model::FrameId>, model::Domain>, model::Estimate> samples;
  for (const HandMadeStack& stack : stacks) {
    std::vector<model::FrameId> ids;
    for (const model::Frame& frame : stack.frames) {
      const auto at = std::lower_bound(profile.frames.begin(), profile.frames.end(), frame);
      ids.push_back({static_cast<uint32_t>(at - profile.frames.begin())});
    }
    samples[{std::move(ids), stack.domain}] += stack.estimate;
    profile.total += stack.estimate;
    profile.domains[static_cast<size_t>(stack.domain)] += stack.estimate;
  }
  for (const auto& [key, estimate] : samples) {
    profile.samples.push_back({key.first, key.second, estimate, 0, 1});
  }
  return profile;
}

model::Frame Native(std::string function, std::string module, std::string file, uint32_t line) {
  return {model::Frame::Kind::kNative,
          std::move(function),
          std::move(file),
          line,
          std::move(module),
          false};
}

model::Frame Python(std::string function, std::string file, uint32_t line) {
  return {model::Frame::Kind::kPython, std::move(function), std::move(file), line, "", false};
}

namespace {

using Stack = std::vector<model::Frame>;

Stack operator+(Stack left, const Stack& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

model::Estimate Of(double mebibytes, double objects) {
  const double bytes = mebibytes * 1024 * 1024;
  return {bytes, objects, bytes * 512 * 1024 * 0.9, objects * 40};
}

// A Python function as the interpreter calls it.
Stack Called(const std::string& function, const std::string& file, uint32_t line) {
  return {Native("_PyFunction_Vectorcall", "python3.11"),
          Native("_PyEval_EvalFrameDefault", "python3.11"), Python(function, file, line)};
}

}  // namespace

model::Profile ServiceProfile() {
  const std::string site = "/usr/local/lib/python3.11/site-packages/";
  const std::string views = "/srv/shop/views.py";
  const Stack start = {Native("_start", "python3.11"), Native("__libc_start_main", "libc.so.6"),
                       Native("Py_BytesMain", "python3.11"), Native("Py_RunMain", "python3.11")};
  const Stack arbiter = start + Called("<module>", "/usr/local/bin/gunicorn", 8) +
                        Called("run", site + "gunicorn/app/wsgiapp.py", 67) +
                        Called("Arbiter.run", site + "gunicorn/arbiter.py", 202) +
                        Called("Arbiter.spawn_worker", site + "gunicorn/arbiter.py", 589);
  const Stack request =
      arbiter + Called("SyncWorker.handle_request", site + "gunicorn/workers/sync.py", 177) +
      Called("WSGIHandler.__call__", site + "django/core/handlers/wsgi.py", 124) +
      Called("BaseHandler.get_response", site + "django/core/handlers/base.py", 140);
  const Stack import = arbiter + Called("import_app", site + "gunicorn/util.py", 371) +
                       Stack{Native("PyImport_ImportModuleLevelObject", "python3.11")};
  const Stack parquet = request + Called("parquet_view", views, 41);
  const Stack read =
      parquet + Called("ParquetFile.read_row_group", site + "pyarrow/parquet/core.py", 467) +
      Stack{Native("__pyx_pw_7pyarrow_8_parquet_13ParquetReader_7read_row_group", "_parquet.so"),
            Native("parquet::arrow::(anonymous namespace)::FileReaderImpl::ReadRowGroups("
                   "std::vector<int, std::allocator<int> > const&, std::vector<int, "
                   "std::allocator<int> > const&, std::shared_ptr<arrow::Table>*)",
                   "libparquet.so.2600")};
  const Stack decode =
      read + Stack{Native("parquet::internal::(anonymous namespace)::ByteArrayChunkedRecordReader"
                          "::ReadValuesDense(long)",
                          "libparquet.so.2600"),
                   Native("arrow::BufferBuilder::Resize(long, bool)", "libarrow.so.2600",
                          "arrow/buffer_builder.h", 78)};
  const Stack to_json = parquet + Called("rows_to_json", views, 52) +
                        Stack{Native("PyObject_Vectorcall", "python3.11")};
  const Stack leak =
      request + Called("leaky_view", views, 88) + Called("remember", "/srv/shop/cache.py", 19);
  const Stack orm = request + Called("orders_view", views, 23) +
                    Called("QuerySet._fetch_all", site + "django/db/models/query.py", 1886) +
                    Called("ModelIterable.__iter__", site + "django/db/models/query.py", 91);
  const model::Frame malloc = Native("malloc", "libc.so.6");
  const model::Frame behalf = {model::Frame::Kind::kBehalf, "parquet_view", views, 41, "", false};
  const model::Frame synthetic = {model::Frame::Kind::kSynthetic, "[unknown]", "", 0, "", false};
  const Stack pool = {behalf, Native("clone3", "libc.so.6"), Native("start_thread", "libc.so.6"),
                      Native("arrow::internal::ThreadPool::LaunchWorkersUnlocked(int)::{lambda()#1}"
                             "::operator()() const",
                             "libarrow.so.2600")};

  std::vector<HandMadeStack> stacks = {
      {leak + Stack{Native("PyBytes_FromStringAndSize", "python3.11"), malloc}, Of(412, 6592)},
      {leak + Stack{Native("dict_resize", "python3.11"), malloc}, Of(9.5, 40)},
      {decode + Stack{Native("mi_malloc_aligned", "libarrow.so.2600")}, Of(233, 460),
       model::Domain::kArrow},
      {read +
           Stack{Native("arrow::Table::Make(std::shared_ptr<arrow::Schema>)", "libarrow.so.2600"),
                 Native("operator new(unsigned long)", "libstdc++.so.6"), malloc},
       Of(1.5, 900)},
      {to_json + Called("JSONEncoder.iterencode", "/usr/lib/python3.11/json/encoder.py", 220) +
           Stack{Native("encoder_listencode_list", "_json.cpython-311-x86_64-linux-gnu.so"),
                 Native("_PyAccu_Accumulate", "python3.11"), malloc},
       Of(118, 90000)},
      {to_json + Stack{Native("__pyx_pw_7pyarrow_3lib_5Table_to_pylist", "lib.so"),
                       Native("PyDict_New", "python3.11"), malloc},
       Of(86, 310000)},
      {orm + Called("Model.from_db", site + "django/db/models/base.py", 582) +
           Stack{Native("PyType_GenericAlloc", "python3.11"), malloc},
       Of(31, 120000)},
      {orm + Stack{Native("pysqlite_cursor_iternext", "_sqlite3.so"),
                   Native("sqlite3MemMalloc", "libsqlite3.so.0"), malloc},
       Of(12, 340)},
      {pool + Stack{Native("arrow::ReallocateBuffer", "libarrow.so.2600")}, Of(64, 128),
       model::Domain::kArrow},
      {{synthetic}, Of(2.4, 12)},
  };
  for (const char* name :
       {"django.db.models", "pyarrow.lib", "pyarrow.compute", "numpy.core", "json", "asyncio",
        "ssl", "sqlite3", "logging", "email", "http.client"}) {
    const double size = 0.4 + 6.0 / static_cast<double>(1 + stacks.size() % 7);
    stacks.push_back({import + Called("<module>", absl::StrCat(site, name, "/__init__.py"), 1) +
                          Stack{Native("PyMarshal_ReadObjectFromString", "python3.11"),
                                Native("PyCode_NewWithPosOnlyArgs", "python3.11"), malloc},
                      Of(size, size * 900)});
  }
  return MakeProfile(std::move(stacks));
}

model::Profile LargeProfile(uint32_t stacks, uint32_t depth) {
  std::mt19937_64 random(7);
  std::vector<HandMadeStack> all;
  for (uint32_t i = 0; i < stacks; ++i) {
    Stack stack;
    // Choices narrow near the root, as in a real program, so that prefixes are shared.
    for (uint32_t level = 0; level < depth / 2 + random() % (depth / 2 + 1); ++level) {
      const uint64_t function = random() % (1 + level / 6 * 3);
      stack.push_back(
          level % 3 == 1 ? Python(absl::StrCat("Handler.step_", level, "_", function),
                                  absl::StrCat("/srv/app/module_", function % 40, ".py"), level + 1)
                         : Native(absl::StrCat("library::function_", level, "_", function),
                                  absl::StrCat("libpart", function % 12, ".so.1")));
    }
    const double bytes = 100.0 * static_cast<double>(1 + random() % 100000);
    all.push_back({std::move(stack), {bytes, 3, bytes * 1000, 2}});
  }
  return MakeProfile(std::move(all));
}

model::Profile ChangedProfile() {
  constexpr double kMiB = 1 << 20;
  const model::Frame main = Native("main", "app");
  model::Profile profile =
      MakeProfile({{{main, Native("gone", "app")}, {}},
                   {{main, Native("grows", "app")}, {4 * kMiB, 400, 0.25 * kMiB * kMiB, 16}},
                   {{main, Native("stays", "app")}, {2.25 * kMiB, 225, 0.125 * kMiB * kMiB, 9}}});
  profile.compared = true;
  profile.samples[0].before = {kMiB, 100, 0, 0};
  profile.samples[1].before = {kMiB, 100, 0, 0};
  profile.samples[2].before = {2 * kMiB, 200, 0.125 * kMiB * kMiB, 9};
  for (const model::Sample& sample : profile.samples) profile.total_before += sample.before;
  profile.domains_before[0] = profile.total_before;
  return profile;
}

}  // namespace heapecho::output
