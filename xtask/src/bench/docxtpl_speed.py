"""Letters a second of docxtpl: docxtpl_speed.py TEMPLATE LETTERS"""

import io
import sys
import time

from docxtpl import DocxTemplate

template, letters = sys.argv[1], int(sys.argv[2])
begun = time.perf_counter()
for number in range(letters):
    document = DocxTemplate(template)
    document.render({
        "Name": f"Chloé Nguyễn {number}",
        "Position": "R&D Lead <EMEA>",
        "Salary": 40000 + number,
        "Start": "2027-01-01",
        "Reference": f"OF-2027-{number:07}",
    }, autoescape=True)
    document.save(io.BytesIO())
print(letters / (time.perf_counter() - begun))
