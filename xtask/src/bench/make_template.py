"""A letter with five placeholders, on python-docx's default template: make_template.py FILE"""

import sys

import docx

letter = docx.Document()
letter.add_heading("Your offer", 0)
letter.add_paragraph("Dear {{ Name }},")
letter.add_paragraph("we are glad to offer you the position of {{ Position }} from {{ Start }} on, under {{ Reference }}.")
letter.add_paragraph("Your salary is {{ Salary }} a year.")
letter.add_paragraph("People Team")
letter.save(sys.argv[1])
