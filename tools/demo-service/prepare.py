# SPDX-License-Identifier: Apache-2.0
"""Fills SHOP_DATA with what the demo service serves: its database and a parquet file of eight row groups."""

import os
from pathlib import Path

import django
import pyarrow
import pyarrow.parquet
from django.db import connection

ROW_GROUPS = 8
ROWS = 4000


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    django.setup()
    from shop.models import Order  # a model can only be imported once Django is set up

    with connection.schema_editor() as editor:
        editor.create_model(Order)
    Order.objects.bulk_create(
        Order(customer=f"customer {i % 60}", article=f"article {i % 500}", cents=i * 7919 % 10000)
        for i in range(3000))

    rows = ROWS * ROW_GROUPS
    table = pyarrow.table({
        "sensor": [f"sensor {i % 40}" for i in range(rows)],
        "at": list(range(rows)),
        "value": [i * 31 % 997 / 10 for i in range(rows)],
    })
    pyarrow.parquet.write_table(table, Path(os.environ["SHOP_DATA"]) / "readings.parquet", row_group_size=ROWS)


if __name__ == "__main__":
    main()
