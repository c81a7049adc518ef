// SPDX-License-Identifier: Apache-2.0
// Which request's handler a stack belongs to; the contract is in the header.
#include "analyzer/aggregator/view.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "analyzer/aggregator/sites.h"

namespace heapecho::aggregator {
namespace {

// A function that calls handlers, by the end of its file's path and its name without what it is
// defined in.
struct Caller {
  absl::string_view file;
  absl::string_view function;
};

// Those that know the route come before servers, which call one application for every request.
constexpr Caller kCallers[] = {
    {"/django/core/handlers/base.py", "_get_response"},
    {"/django/core/handlers/base.py", "_get_response_async"},
    {"/flask/app.py", "dispatch_request"},
    {"/fastapi/routing.py", "run_endpoint_function"},
    {"/starlette/routing.py", "app"},
    {"/celery/app/trace.py", "trace_task"},
    {"/gunicorn/workers/sync.py", "handle_request"},
    {"/gunicorn/workers/gthread.py", "handle_request"},
    {"/gunicorn/workers/base_async.py", "handle_request"},
    {"/wsgiref/handlers.py", "run"},
    {"/waitress/task.py", "execute"},
    {"/uvicorn/protocols/http/h11_impl.py", "run_asgi"},
    {"/uvicorn/protocols/http/httptools_impl.py", "run_asgi"},
};

// What decorators call the functions that they put around others.
constexpr absl::string_view kWrappers[] = {
    "_inner", "_view_wrapper", "_wrapped",     "_wrapped_view", "_wrapper",     "decorated",
    "inner",  "view_wrapper",  "wrapped_view", "wrapped",       "wrapper_view", "wrapper",
};

absl::string_view LastPart(absl::string_view text, char separator) {
  const size_t at = text.rfind(separator);
  return at == absl::string_view::npos ? text : text.substr(at + 1);
}

bool IsWrapper(const model::Frame& frame) {
  const absl::string_view name = LastPart(frame.function, '.');
  return std::find(std::begin(kWrappers), std::end(kWrappers), name) != std::end(kWrappers);
}

bool IsModule(const model::Frame& frame) {
  return frame.IsOfPython() && frame.function == "<module>";
}

std::string NameOf(const model::Frame& frame) {
  const absl::string_view file = frame.file;
  const size_t slash = file.rfind('/');
  const size_t before =
      slash == absl::string_view::npos || slash == 0 ? slash : file.rfind('/', slash - 1);
  return absl::StrCat(frame.function, " (",
                      before == absl::string_view::npos ? file : file.substr(before + 1), ")");
}

}  // namespace

std::string ViewOf(const std::vector<const model::Frame*>& frames) {
  for (const Caller& caller : kCallers) {
    // The innermost call: a handler may call the framework again.
    const auto called =
        std::find_if(frames.rbegin(), frames.rend(), [&](const model::Frame* frame) {
          return frame->IsOfPython() && LastPart(frame->function, '.') == caller.function &&
                 absl::EndsWith(frame->file, caller.file);
        });
    if (called == frames.rend()) continue;
    const auto inside = called.base();
    // A module that is imported while a request is answered (its routes, say) handles none.
    const auto own = std::find_if(inside, frames.end(), [](const model::Frame* frame) {
      return IsModule(*frame) || (IsOwnCode(*frame) && !IsWrapper(*frame));
    });
    if (own != frames.end() && !IsModule(**own)) return NameOf(**own);
    const auto any = std::find_if(inside, frames.end(), [](const model::Frame* frame) {
      return frame->IsOfPython() && !IsWrapper(*frame);
    });
    if (any != frames.end()) return NameOf(**any);
  }
  return "";
}

}  // namespace heapecho::aggregator
