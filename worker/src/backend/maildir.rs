//! Mails as files in a Maildir folder: written into `tmp/`, renamed into `new/`. The name is the Message-ID, so that a mail sent again replaces itself.

use super::{Backend, Failure, Kind, Mail};
use crate::Gate;
use bytes::Bytes;
use campaign::Reply;
use futures::future::BoxFuture;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// Mails written at the same time; more than the processors are of no use.
pub(crate) const CONNECTIONS: usize = 4;

/// A Maildir folder.
pub(crate) struct Maildir {
    directory: Arc<Path>,
    /// Write through to the disk before the mail counts as delivered.
    durable: bool,
}

impl Maildir {
    /// A folder that delivers: a mail in it has reached the disk.
    pub(crate) fn durable(directory: &Path) -> Self {
        Self { directory: directory.into(), durable: true }
    }

    /// A folder to look at mails in; not worth waiting for the disk.
    pub(crate) fn rehearsal(directory: &Path) -> Self {
        Self { durable: false, ..Self::durable(directory) }
    }

    /// Delivers a mail; false if the gate closed before it was there.
    async fn deliver(&self, name: &str, bytes: &Bytes, gate: &Gate) -> io::Result<bool> {
        if self.durable {
            let (name, bytes, gate) = (name.to_owned(), bytes.clone(), gate.clone());
            let directory = Arc::clone(&self.directory);
            let written = tokio::task::spawn_blocking(move || deliver(&directory, &name, &bytes, true, &gate)).await;
            written.unwrap_or_else(|error| Err(io::Error::other(error)))
        } else {
            // A page or two into the cache: cheaper than handing it to another thread.
            deliver(&self.directory, name, bytes, false, gate)
        }
    }
}

/// Writes a mail, making the folders if they are not there.
fn deliver(directory: &Path, name: &str, bytes: &[u8], durable: bool, gate: &Gate) -> io::Result<bool> {
    let result = write(directory, name, bytes, durable, gate);
    if !result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return result;
    }
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(directory.join(part))?;
    }
    write(directory, name, bytes, durable, gate)
}

/// The mail is delivered when it is in `new`: the gate is asked right before.
fn write(directory: &Path, name: &str, bytes: &[u8], durable: bool, gate: &Gate) -> io::Result<bool> {
    let temporary = directory.join("tmp").join(name);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        if durable { file.sync_data() } else { Ok(()) }
    });
    let result = written.and_then(|()| {
        let open = gate.may_finish();
        if open { std::fs::rename(&temporary, directory.join("new").join(name)).map(|()| true) } else { Ok(false) }
    });
    if !matches!(result, Ok(true)) {
        // What is half written is of no use; the result is what matters.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

impl Backend for Maildir {
    fn send<'a>(&'a self, mail: Mail<'a>, gate: &'a Gate) -> BoxFuture<'a, Result<Reply, Failure>> {
        Box::pin(async move {
            if !gate.may_begin() {
                return Err(Failure::stopped());
            }
            let name = file_name(&mail.letter.message_id);
            match self.deliver(&name, mail.content, gate).await {
                Ok(false) => Err(Failure::stopped()),
                Ok(true) => Ok(Reply { code: 250, enhanced: None, text: format!("written as new/{name}") }),
                Err(error) => {
                    let text = format!("{}: {error}", self.directory.display());
                    Err(Failure::of_backend(Kind::NotBegun, Reply { code: 0, enhanced: None, text }))
                }
            }
        })
    }
}

/// A Message-ID as a file name: what could mean something to a file system or a mail program becomes `_`.
fn file_name(message_id: &str) -> String {
    let safe = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '@' | '-' | '_');
    let name: String = message_id.chars().map(|char| if safe(char) { char } else { '_' }).take(200).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_never_leaves_the_folder() {
        for (id, name) in [
            ("0af.17@example.com", "0af.17@example.com"),
            ("../../etc/x", "_.._.._etc_x"),
            (".hidden:2,S", "_.hidden_2_S"),
        ] {
            assert_eq!(file_name(id), name);
        }
    }

    #[tokio::test]
    async fn a_mail_sent_again_replaces_itself_and_leaves_nothing_in_tmp() {
        let home = tempfile::tempdir().expect("a folder");
        for folder in [Maildir::durable(home.path()), Maildir::rehearsal(home.path())] {
            for content in [&b"first"[..], b"second"] {
                let delivered = folder.deliver("a", &Bytes::from_static(content), &Gate::open()).await;
                assert!(delivered.expect("delivered"));
            }
        }
        let names = |part| std::fs::read_dir(home.path().join(part)).expect("made").count();
        assert_eq!((names("new"), names("tmp"), names("cur")), (1, 0, 0));
        assert_eq!(std::fs::read(home.path().join("new/a")).expect("there"), b"second");
    }

    #[tokio::test]
    async fn a_mail_whose_gate_closes_while_it_is_written_is_not_there() {
        let home = tempfile::tempdir().expect("a folder");
        let gate = Gate::open();
        gate.close_finish();
        for folder in [Maildir::durable(home.path()), Maildir::rehearsal(home.path())] {
            assert!(!folder.deliver("a", &Bytes::from_static(b"late"), &gate).await.expect("written"));
        }
        let names = |part| std::fs::read_dir(home.path().join(part)).expect("made").count();
        assert_eq!((names("new"), names("tmp")), (0, 0));
    }
}
