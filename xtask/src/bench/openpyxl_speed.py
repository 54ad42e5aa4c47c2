"""Rows a second of openpyxl in its streaming mode: openpyxl_speed.py LIST"""

import sys
import time

import openpyxl

begun = time.perf_counter()
book = openpyxl.load_workbook(sys.argv[1], read_only=True)
rows = sum(1 for _ in book.active.iter_rows(values_only=True)) - 1
print(rows / (time.perf_counter() - begun))
