// SPDX-License-Identifier: Apache-2.0
// Which request's handler a stack belongs to, read off its Python frames.
#pragma once

#include <string>
#include <vector>

#include "analyzer/model/profile.h"

namespace heapecho::aggregator {

// "ShopView.get (shop/views.py)" for a stack, root first, in which a framework or server that the
// table in view.cc knows (Django, Flask, FastAPI, Starlette, Celery; gunicorn, wsgiref, waitress,
// uvicorn) calls a handler: the first frame inside of that call which is the application's own and
// no decorator's wrapper; where there is none, the first one. Empty: no request is being answered
// on this stack.
std::string ViewOf(const std::vector<const model::Frame*>& frames);

}  // namespace heapecho::aggregator
