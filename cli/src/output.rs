//! What is printed: results on stdout, lines for people on stderr.

use std::io::Write;
use tokio::io::AsyncWriteExt;

/// Writes a result to stdout. A reader that went away (`| head`) is no failure.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes a line for people to stderr.
pub(crate) fn tell(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Stdout for what goes on: whether somebody still reads it. A reader that is slow doesn't hold up anything else.
pub(crate) struct Stream(tokio::io::Stdout);

impl Stream {
    pub(crate) fn open() -> Self {
        Self(tokio::io::stdout())
    }

    /// Writes a line (or several); false once nobody reads any more.
    pub(crate) async fn say(&mut self, text: &str) -> bool {
        let written = async {
            self.0.write_all(text.as_bytes()).await?;
            self.0.flush().await
        };
        written.await.is_ok()
    }
}
