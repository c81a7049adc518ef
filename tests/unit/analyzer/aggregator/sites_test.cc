// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/sites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace heapecho::aggregator {
namespace {

using ::testing::ElementsAre;

model::Frame Native(const std::string& function, const std::string& module = "app") {
  model::Frame frame;
  frame.function = function;
  frame.module = module;
  return frame;
}

bool IsPlumbingName(const std::string& function) { return IsPlumbing(Native(function)); }

TEST(Plumbing, IsWhatPassesAnAllocationOn) {
  for (const char* name :
       {"malloc", "calloc", "realloc", "strdup", "operator new(unsigned long)",
        "operator new[](unsigned long)",
        "std::vector<int, std::allocator<int> >::reserve(unsigned long)",
        "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int const&)",
        "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> "
        ">::_M_create(unsigned long&, "
        "unsigned long)",
        "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)",
        "alloc::alloc::alloc",
        "<alloc::vec::Vec<T> as core::iter::traits::collect::FromIterator<T>>::from_iter",
        "__rust_alloc", "PyMem_RawMalloc", "_PyObject_Malloc", "PyType_GenericAlloc",
        "PyObject_Malloc",
        "arrow::BaseMemoryPoolImpl<arrow::(anonymous "
        "namespace)::MimallocAllocator>::Allocate(long, long, unsigned "
        "char**)",
        "arrow::AllocateBuffer(long, arrow::MemoryPool*)"}) {
    EXPECT_TRUE(IsPlumbingName(name)) << name;
  }
  EXPECT_TRUE(IsPlumbing(Native("je_large_malloc", "libjemalloc.so.2")));
  EXPECT_TRUE(IsPlumbing(Native("0x12", "libheapecho.so")));
}

TEST(Plumbing, IsNotWhatOnlyMentionsIt) {
  for (const char* name : {"leak", "malloc_trim_everything", "my::malloc(int)",
                           "load(std::vector<int, std::allocator<int> > const&)",
                           "void app::fill<std::vector<int> >(std::vector<int>&)",
                           "std_helper(int)", "app::operator new_thing()",
                           "std::vector<int> app::load(int)", "app::Pool::operator()(int)",
                           "bool app::operator< <int>(int)", "(anonymous namespace)::grow()",
                           "app::run()::{lambda(std::string)#1}::operator()(std::string) const",
                           "<app::Cart as core::iter::Iterator>::next", "PyList_Append",
                           "list_resize", "arrow::Table::Slice(long)", "0x1234", ""}) {
    EXPECT_FALSE(IsPlumbingName(name)) << name;
  }
  model::Frame python = Native("malloc");
  python.kind = model::Frame::Kind::kPython;
  EXPECT_FALSE(IsPlumbing(python));
}

// frames: 0 main, 1 leak, 2 operator new, 3 leak again at another line, 4 load
model::Profile MakeProfile() {
  model::Profile profile;
  profile.frames = {Native("main"), Native("leak"), Native("operator new(unsigned long)"),
                    Native("leak"), Native("load")};
  profile.frames[1].line = 10;
  profile.frames[3].line = 20;
  const auto add = [&](std::vector<model::FrameId> frames, double bytes, double objects,
                       uint64_t age) {
    model::Sample sample;
    sample.frames = std::move(frames);
    sample.estimate.bytes = bytes;
    sample.estimate.objects = objects;
    sample.estimate.bytes_variance = 1;
    sample.oldest_ns = age;
    sample.samples = 1;
    profile.samples.push_back(sample);
  };
  add({{0}, {1}, {2}}, 40, 9, 5);  // 0
  add({{0}, {3}, {2}}, 60, 1, 3);  // 1
  add({{0}, {4}}, 70, 5, 1);       // 2
  add({{2}}, 70, 1, 1);            // 3
  return profile;
}

TEST(Sites, AreRankedByTheUnitAsked) {
  const model::Profile profile = MakeProfile();
  using Id = model::SampleId;
  EXPECT_THAT(Sites(profile, model::Unit::kBytes), ElementsAre(Id{2}, Id{3}, Id{1}, Id{0}));
  EXPECT_THAT(Sites(profile, model::Unit::kObjects), ElementsAre(Id{0}, Id{2}, Id{1}, Id{3}));
}

TEST(Sites, AreGroupedByTheInnermostFunctionThatIsNoPlumbing) {
  const model::Profile profile = MakeProfile();
  const std::vector<model::SiteGroup> groups = GroupSites(profile, model::Unit::kBytes);
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].frame, model::FrameId{3});  // of its largest site
  EXPECT_EQ(groups[0].estimate.bytes, 100);
  EXPECT_EQ(groups[0].estimate.bytes_variance, 2);
  EXPECT_EQ(groups[0].oldest_ns, 5U);
  EXPECT_EQ(groups[0].samples, 2U);
  EXPECT_THAT(groups[0].sites, ElementsAre(model::SampleId{1}, model::SampleId{0}));
  EXPECT_EQ(groups[1].frame, model::FrameId{4});
  EXPECT_EQ(groups[2].frame, model::FrameId{2}) << "nothing but plumbing";
}

model::Frame Python(const std::string& function, const std::string& file, uint32_t line) {
  model::Frame frame;
  frame.kind = model::Frame::Kind::kPython;
  frame.function = function;
  frame.file = file;
  frame.line = line;
  return frame;
}

TEST(OwnCode, IsWhatNobodyInstalled) {
  EXPECT_TRUE(IsOwnCode(Python("view", "/srv/shop/views.py", 1)));
  EXPECT_TRUE(IsOwnCode(Python("view", "views.py", 1)));
  EXPECT_TRUE(IsOwnCode(Python("main", "/srv/shop/bin/import.py", 1)));
  EXPECT_FALSE(IsOwnCode(Python("loads", "/usr/lib/python3.11/json/__init__.py", 1)));
  EXPECT_FALSE(IsOwnCode(Python("loads", "/home/app/.pyenv/versions/3.8.1/lib/python3.8/abc.py", 1)));
  EXPECT_FALSE(IsOwnCode(Python("get", "/srv/venv/lib/python3.9/site-packages/flask/app.py", 1)));
  EXPECT_FALSE(IsOwnCode(Python("get", "/usr/lib/python3/dist-packages/yaml/loader.py", 1)));
  EXPECT_FALSE(IsOwnCode(Python("<module>", "/usr/local/bin/gunicorn", 1)));
  EXPECT_FALSE(IsOwnCode(Python("_find_and_load", "<frozen importlib._bootstrap>", 1)));
  EXPECT_FALSE(IsOwnCode(Python("f", "<string>", 1)));
  EXPECT_FALSE(IsOwnCode(Python("f", "", 1)));
  EXPECT_FALSE(IsOwnCode(Native("main")));
}

TEST(OwnCode, GroupsSitesByItsInnermostLineWhateverTheDomain) {
  model::Profile profile;
  profile.frames = {Python("main", "/srv/app.py", 9),
                    Python("view", "/srv/app.py", 20),
                    Python("view", "/srv/app.py", 21),
                    Python("loads", "/usr/lib/python3.11/json/__init__.py", 3),
                    Native("PyDict_New"),
                    Python("<lambda>", "<string>", 1)};
  const auto add = [&](std::vector<model::FrameId> frames, double bytes, model::Domain domain) {
    model::Sample sample;
    sample.frames = std::move(frames);
    sample.domain = domain;
    sample.estimate.bytes = bytes;
    sample.samples = 1;
    profile.samples.push_back(sample);
  };
  add({{0}, {1}, {3}, {4}}, 40, model::Domain::kMalloc);  // 0
  add({{0}, {1}, {4}}, 50, model::Domain::kPython);       // 1
  add({{0}, {2}, {5}}, 60, model::Domain::kPython);       // 2
  add({{5}, {3}, {4}}, 10, model::Domain::kPython);       // 3
  add({{3}, {5}, {4}}, 700, model::Domain::kPython);      // 4
  add({{3}, {4}}, 999, model::Domain::kMalloc);           // 5
  const std::vector<model::SiteGroup> groups = GroupOwnCode(profile, model::Unit::kBytes);
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].frame, model::FrameId{1});
  EXPECT_EQ(groups[0].estimate.bytes, 90);
  EXPECT_EQ(groups[0].domain, model::Domain::kPython);
  EXPECT_THAT(groups[0].sites, ElementsAre(model::SampleId{1}, model::SampleId{0}));
  EXPECT_EQ(groups[1].frame, model::FrameId{2}) << "text that was evaluated is nobody's own code";
  EXPECT_EQ(groups[2].frame, model::FrameId{5}) << "unless the program began there";
}

TEST(Sites, OfNamelessFunctionsAreThePythonFunctionThatTheyWorkFor) {
  model::Profile profile;
  profile.frames = {Python("get", "/srv/a.py", 1), Native("0x1a2b"), Native("main")};
  profile.samples.resize(2);
  profile.samples[0].frames = {{2}, {0}, {1}};
  profile.samples[0].estimate.bytes = 2;
  profile.samples[1].frames = {{2}, {1}};
  profile.samples[1].estimate.bytes = 1;
  const std::vector<model::SiteGroup> groups = GroupSites(profile, model::Unit::kBytes);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].frame, model::FrameId{0});
  EXPECT_EQ(groups[1].frame, model::FrameId{1}) << "of a stack without Python";
}

TEST(Sites, OfPythonFunctionsAreApartByFile) {
  model::Profile profile;
  profile.frames = {Python("get", "/srv/a.py", 1), Python("get", "/srv/b.py", 1)};
  profile.samples.resize(2);
  profile.samples[0].frames = {{0}};
  profile.samples[1].frames = {{1}};
  EXPECT_EQ(GroupSites(profile, model::Unit::kBytes).size(), 2U);
}

TEST(Sites, OfAnEmptyProfileAreNone) {
  EXPECT_TRUE(Sites({}, model::Unit::kBytes).empty());
  EXPECT_TRUE(GroupSites({}, model::Unit::kBytes).empty());
}

}  // namespace
}  // namespace heapecho::aggregator
