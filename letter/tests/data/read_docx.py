"""What python-docx reads of a document, as JSON: the tests' view of a result by another program."""
import json
import sys

from docx import Document


def runs(paragraph):
    return [
        {
            "text": run.text,
            "bold": run.bold,
            "italic": run.italic,
            "color": str(run.font.color.rgb) if run.font.color and run.font.color.rgb else None,
        }
        for run in paragraph.runs
        if run.text
    ]


document = Document(sys.argv[1])
section = document.sections[0]
json.dump(
    {
        "paragraphs": [paragraph.text for paragraph in document.paragraphs],
        "runs": [runs(paragraph) for paragraph in document.paragraphs],
        "tables": [[[cell.text for cell in row.cells] for row in table.rows] for table in document.tables],
        "header": [paragraph.text for paragraph in section.header.paragraphs],
        "footer": [paragraph.text for paragraph in section.footer.paragraphs],
        "title": document.core_properties.title,
    },
    sys.stdout,
)
