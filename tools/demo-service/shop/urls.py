# SPDX-License-Identifier: Apache-2.0
"""The shop's addresses."""

from django.urls import path

from shop import views

urlpatterns = [
    path("health", views.health),
    path("catalogue", views.catalogue),
    path("customers", views.customers),
    path("readings/<int:row_group>", views.readings),
    path("login", views.login),
]
