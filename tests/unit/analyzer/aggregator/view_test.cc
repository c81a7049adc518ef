// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/view.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace heapecho::aggregator {
namespace {

constexpr char kSite[] = "/venv/lib/python3.11/site-packages";

// Function and file, outermost first; a file that begins with "/" lies among the installed
// packages.
std::string View(const std::vector<std::pair<std::string, std::string>>& stack) {
  std::vector<model::Frame> frames;
  for (const auto& [function, file] : stack) {
    model::Frame frame;
    frame.kind = file.empty() ? model::Frame::Kind::kNative : model::Frame::Kind::kPython;
    frame.function = function;
    if (!file.empty()) frame.file = file[0] == '/' ? kSite + file : "/srv/" + file;
    frames.push_back(frame);
  }
  std::vector<const model::Frame*> pointers;
  for (const model::Frame& frame : frames) pointers.push_back(&frame);
  return ViewOf(pointers);
}

const std::pair<std::string, std::string> kGunicorn = {"SyncWorker.handle_request",
                                                       "/gunicorn/workers/sync.py"};
const std::pair<std::string, std::string> kDjango = {"BaseHandler._get_response",
                                                     "/django/core/handlers/base.py"};

TEST(View, OfDjangoIsWhatTheHandlerCalls) {
  EXPECT_EQ(View({kGunicorn,
                  {"WSGIHandler.__call__", "/django/core/handlers/wsgi.py"},
                  {"TimingMiddleware.__call__", "shop/middleware.py"},
                  kDjango,
                  {"orders", "shop/views.py"},
                  {"helper", "shop/tools.py"},
                  {"PyDict_New", ""}}),
            "orders (shop/views.py)");
}

TEST(View, OfPlainNamesIsFoundToo) {
  EXPECT_EQ(View({{"_get_response", "/django/core/handlers/base.py"}, {"orders", "shop/views.py"}}),
            "orders (shop/views.py)");
}

TEST(View, IsBehindDecoratorsAndClasses) {
  EXPECT_EQ(View({kDjango,
                  {"csrf_exempt.<locals>._view_wrapper", "/django/views/decorators/csrf.py"},
                  {"timed.<locals>.wrapper", "shop/decorators.py"},
                  {"View.as_view.<locals>.view", "/django/views/generic/base.py"},
                  {"View.dispatch", "/django/views/generic/base.py"},
                  {"Orders.get", "shop/views.py"}}),
            "Orders.get (shop/views.py)");
}

TEST(View, OfAnInstalledApplicationIsItsOwnFunction) {
  EXPECT_EQ(View({kDjango,
                  {"login_required.<locals>.wrapper", "/django/contrib/auth/decorators.py"},
                  {"index", "/django/contrib/admin/sites.py"}}),
            "index (admin/sites.py)");
}

TEST(View, OfAPlainServerIsItsApplication) {
  EXPECT_EQ(View({kGunicorn, {"application", "shop/wsgi.py"}}), "application (shop/wsgi.py)");
  EXPECT_EQ(View({{"BaseHandler.run", "/wsgiref/handlers.py"}, {"app", "app.py"}}),
            "app (srv/app.py)");
}

TEST(View, OfMiddlewareAroundAHandlerIsTheMiddleware) {
  EXPECT_EQ(View({kGunicorn,
                  {"WSGIHandler.__call__", "/django/core/handlers/wsgi.py"},
                  {"TimingMiddleware.__call__", "shop/middleware.py"}}),
            "TimingMiddleware.__call__ (shop/middleware.py)");
}

TEST(View, IsNoModuleThatIsImportedMeanwhile) {
  EXPECT_EQ(View({kGunicorn,
                  {"WSGIHandler.__call__", "/django/core/handlers/wsgi.py"},
                  kDjango,
                  {"BaseHandler.resolve_request", "/django/core/handlers/base.py"},
                  {"<module>", "shop/urls.py"},
                  {"make_routes", "shop/urls.py"}}),
            "BaseHandler.resolve_request (handlers/base.py)");
}

TEST(View, OfOtherFrameworks) {
  EXPECT_EQ(View({{"Flask.dispatch_request", "/flask/app.py"}, {"home", "shop/app.py"}}),
            "home (shop/app.py)");
  EXPECT_EQ(View({{"RequestResponseCycle.run_asgi", "/uvicorn/protocols/http/h11_impl.py"},
                  {"run_endpoint_function", "/fastapi/routing.py"},
                  {"read_item", "shop/api.py"}}),
            "read_item (shop/api.py)");
  EXPECT_EQ(View({{"build_tracer.<locals>.trace_task", "/celery/app/trace.py"},
                  {"send_mail", "shop/tasks.py"}}),
            "send_mail (shop/tasks.py)");
}

TEST(View, IsNoneWhereNoRequestIsAnswered) {
  EXPECT_EQ(View({}), "");
  EXPECT_EQ(View({{"main", "shop/cron.py"}}), "");
  EXPECT_EQ(View({kGunicorn, {"malloc", ""}}), "");
  EXPECT_EQ(View({{"_get_response", "shop/views.py"}, {"orders", "shop/views.py"}}), "");
}

}  // namespace
}  // namespace heapecho::aggregator
