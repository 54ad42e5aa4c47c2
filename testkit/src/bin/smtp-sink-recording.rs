//! An SMTP server that writes every mail into a maildir and its envelope into a log, and refuses recipients on request.

use clap::Parser;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};
use testkit::{Action, Keep, Phase, Received, Sink, SinkOptions};

/// Records what it is sent.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(default_value = "127.0.0.1:2525")]
    listen: String,
    /// Folder for the mails (new/, cur/, tmp/).
    #[arg(long)]
    maildir: Option<PathBuf>,
    /// One line a mail: time, sender, recipient, Message-ID, size; tabs between.
    #[arg(long, default_value = "recipients.log")]
    log: PathBuf,
    /// Answers RCPT for recipients that contain TEXT: `TEXT=550 5.1.1 no such user`. May be given again; the first that fits counts.
    #[arg(long, value_parser = rule)]
    refuse: Vec<Rule>,
    /// The same at the final dot.
    #[arg(long, value_parser = rule)]
    refuse_content: Vec<Rule>,
}

#[derive(Clone)]
struct Rule {
    text: String,
    code: u16,
    reply: String,
}

fn rule(text: &str) -> Result<Rule, String> {
    let wrong = || format!("{text:?}: write it like `text=550 5.1.1 no such user`");
    let (text, reply) = text.split_once('=').ok_or_else(wrong)?;
    let (code, reply) = reply.split_once(' ').unwrap_or((reply, ""));
    let code = code.parse().ok().filter(|code| (200..600).contains(code)).ok_or_else(wrong)?;
    Ok(Rule { text: text.to_owned(), code, reply: reply.to_owned() })
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let recorder = Recorder::open(&args)?;
    let (at_rcpt, at_dot) = (args.refuse, args.refuse_content);
    let options = SinkOptions::default()
        .listen(&args.listen)
        .keep(Keep::Recipients)
        .script(move |moment| {
            let rules = match moment.phase {
                Phase::Rcpt => &at_rcpt,
                Phase::FinalDot => &at_dot,
                _ => return Action::Accept,
            };
            let rule = rules.iter().find(|rule| moment.recipient.contains(&rule.text));
            rule.map_or(Action::Accept, |rule| Action::Reply(rule.code, rule.reply.clone()))
        })
        .on_mail(move |mail| {
            if let Err(error) = recorder.record(mail) {
                // Better no server than one that loses what it has confirmed.
                let _ = writeln!(io::stderr(), "can't write the mail: {error}");
                std::process::exit(1);
            }
        });
    let sink = Sink::start(options);
    writeln!(io::stdout(), "{}", sink.addr())?;
    loop {
        std::thread::park();
    }
}

struct Recorder {
    maildir: Option<PathBuf>,
    log: Mutex<(File, u64)>,
}

impl Recorder {
    fn open(args: &Args) -> io::Result<Self> {
        if let Some(folder) = &args.maildir {
            for part in ["new", "cur", "tmp"] {
                fs::create_dir_all(folder.join(part))?;
            }
        }
        let log = OpenOptions::new().create(true).append(true).open(&args.log)?;
        Ok(Self { maildir: args.maildir.clone(), log: Mutex::new((log, 0)) })
    }

    fn record(&self, mail: &Received) -> io::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        log.1 += 1;
        let seconds = mail.at.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        if let Some(folder) = &self.maildir {
            write(folder, &format!("{seconds:.6}.{}.sink", log.1), mail)?;
        }
        writeln!(log.0, "{seconds:.3}\t{}\t{}\t{}\t{}", mail.from, mail.to, mail.message_id, mail.data.len())
    }
}

fn write(folder: &Path, name: &str, mail: &Received) -> io::Result<()> {
    let temporary = folder.join("tmp").join(name);
    let envelope = format!("Return-Path: <{}>\r\nDelivered-To: {}\r\n", mail.from, mail.to);
    fs::write(&temporary, [envelope.as_bytes(), &mail.data].concat())?;
    fs::rename(temporary, folder.join("new").join(name))
}
