//! The DOCX merge through its public API. Needs a Python with python-docx and docxtpl (`MAILCAMPAIGN_PYTHON`, else python3), LibreOffice Writer and pdftotext.

mod merge;
mod package;
mod peers;
mod tools;
