//! The campaigns that are measured: a list of any length, a mail of 4 KB, a Word letter on demand.

use anyhow::Result;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A paragraph as people write it. With as many of it as there are in the bodies below, a mail has 4,000 bytes; as many as smtp-source's `-l 4000`.
const PARAGRAPH: &str = "we are glad to offer you the position of {{ Position }}. Your reference is {{ Reference }}, your first day would be \
    {{ Start }}, and your salary {{ Salary }} a year, paid at the end of each month.";

/// Writes `campaign.yaml` for the list `list` beside it into `folder`; mails go to `server`.
pub(crate) fn write(folder: &Path, list: &str, with_docx: bool, server: SocketAddr) -> Result<PathBuf> {
    let attachments = if with_docx {
        "    attachments: [{filename: \"Offer {{ Reference }}.docx\", docx: {configMap: {name: bench, key: letter.docx}}}]\n"
    } else {
        ""
    };
    let text = format!(
        "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {{name: bench, namespace: bench}}
spec:
  recipients: {{source: {{configMap: {{name: bench, key: {list}}}}}}}
  message:
    from: \"People Team <people@example.com>\"
    subject: \"Your offer, {{{{ Name }}}}\"
    text: {{configMap: {{name: bench, key: offer.txt}}}}
    html: {{configMap: {{name: bench, key: offer.html}}}}
{attachments}  delivery:
    backends: [{{name: sink, smtp: {{host: {host}, port: {port}, tls: None, connections: 20}}}}]
    onUnknown: Hold
",
        host = server.ip(),
        port = server.port(),
    );
    std::fs::write(folder.join("offer.txt"), text_body())?;
    std::fs::write(folder.join("offer.html"), html_body())?;
    let file = folder.join("campaign.yaml");
    std::fs::write(&file, text)?;
    Ok(file)
}

fn text_body() -> String {
    let mut body = "Dear {{ Name }},\n".to_owned();
    for _ in 0..5 {
        let _ = write!(body, "\n{PARAGRAPH}\n");
    }
    body + "\nPeople Team\n"
}

fn html_body() -> String {
    let mut body = "<!doctype html>\n<html><body>\n<h1>Dear {{ Name }},</h1>\n".to_owned();
    for _ in 0..11 {
        let _ = writeln!(body, "<p>{PARAGRAPH}</p>");
    }
    body + "<p>People Team</p>\n</body></html>\n"
}
