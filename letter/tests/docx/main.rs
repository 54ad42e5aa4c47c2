//! The DOCX merge through its public API. Needs python3 with python-docx and docxtpl, LibreOffice Writer and pdftotext.

mod merge;
mod package;
mod peers;
mod tools;
