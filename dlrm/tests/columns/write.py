"""Writes clicks.parquet and clicks.csv, the same rows, and odd.parquet and empty.parquet beside this file: pip install pyarrow."""

import csv
import decimal
import pathlib
import random

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
ROWS = 700

draw = random.Random(7)
rows = []
for _ in range(ROWS):
    user = draw.randrange(40)
    tags = [f"t{draw.randrange(12)}" for _ in range(draw.randrange(5))]
    items = [draw.randrange(30) for _ in range(draw.randrange(1, 4))]
    liked = user % 3 == 0 or "t1" in tags
    rows.append(
        {
            "click": int(draw.random() < (0.8 if liked else 0.2)),
            "price": None if draw.random() < 0.1 else round(draw.uniform(0, 100), 2),
            "age": draw.randrange(18, 70),
            "score": round(draw.gauss(0, 1), 3),
            "user_id": user,
            "city": None if draw.random() < 0.05 else draw.choice(["Genève", "Oslo", "São Paulo, SP", 'the "Hague"']),
            "device": draw.choice(["phone", "desktop"]),
            "tags": tags,
            "items": items,
            "item_weights": [round(draw.uniform(0.5, 2), 2) for _ in items],
        }
    )

schema = pa.schema(
    [
        ("click", pa.int8()),
        ("price", pa.float64()),
        ("age", pa.int32()),
        ("score", pa.float32()),
        ("user_id", pa.int64()),
        ("city", pa.string()),
        ("device", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("items", pa.list_(pa.int64())),
        ("item_weights", pa.list_(pa.float32())),
    ]
)
# Several groups of rows, of which a chunk may take parts.
pq.write_table(pa.Table.from_pylist(rows, schema), HERE / "clicks.parquet", row_group_size=300)

with open(HERE / "clicks.csv", "w", newline="") as file:
    out = csv.writer(file, lineterminator="\n")
    out.writerow(schema.names)
    for row in rows:
        lists = {"tags", "items", "item_weights"}
        out.writerow("|".join(map(str, row[name])) if name in lists else row[name] for name in schema.names)

# What is not read, beside what is.
odd = {
    "click": [0, 1],
    "user": [1, None],
    "unsigned": pa.array([2**63, 7], pa.uint64()),
    "struct": [{"a": 1, "b": 2}, None],
    "lists": [[[1], [2, 3]], [[]]],
    "decimal": [decimal.Decimal("1.50"), decimal.Decimal("2.25")],
    "text": ["one", "two"],
}
pq.write_table(pa.table(odd), HERE / "odd.parquet", compression="zstd")
pq.write_table(pa.Table.from_pylist([], schema), HERE / "empty.parquet")
