# SPDX-License-Identifier: Apache-2.0
"""A start, some objects, an end: says that it lived."""

import collections
import json

text = json.dumps([{"number": i, "text": "x" * i} for i in range(300)])
again = collections.OrderedDict(enumerate(json.loads(text)))
print(len(text), len(again), sum(len(value["text"]) for value in again.values()))
