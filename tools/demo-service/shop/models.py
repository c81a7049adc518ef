# SPDX-License-Identifier: Apache-2.0
"""What the shop keeps in its database."""

from django.db import models


class Order(models.Model):
    customer = models.CharField(max_length=40, db_index=True)
    article = models.CharField(max_length=40)
    cents = models.IntegerField()
