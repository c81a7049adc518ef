# SPDX-License-Identifier: Apache-2.0
"""Settings of the demo service; its data lie in the directory that SHOP_DATA names."""

import os
from pathlib import Path

DATA = Path(os.environ["SHOP_DATA"])

SECRET_KEY = "the demo guards nothing"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "shop.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
TIME_ZONE = "UTC"
