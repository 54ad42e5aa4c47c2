//! DOCX mail merge: unzip once, per recipient write only the parts that have placeholders.
