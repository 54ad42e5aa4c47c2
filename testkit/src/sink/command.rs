//! Commands as a server reads them (RFC 5321 §4.1.1).

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Helo(String),
    Ehlo(String),
    StartTls,
    Auth(String),
    Mail { from: String, parameters: Vec<String> },
    Rcpt(String),
    Data,
    Bdat { size: usize, last: bool },
    Reset,
    Noop,
    Quit,
    Unknown,
}

impl Command {
    pub(super) fn parse(line: &str) -> Self {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => Self::Helo(rest.to_owned()),
            "EHLO" => Self::Ehlo(rest.to_owned()),
            "STARTTLS" => Self::StartTls,
            "AUTH" => Self::Auth(rest.to_owned()),
            "MAIL" => path(rest, "FROM:").map_or(Self::Unknown, |(from, parameters)| Self::Mail { from, parameters }),
            "RCPT" => path(rest, "TO:").map_or(Self::Unknown, |(to, _)| Self::Rcpt(to)),
            "DATA" => Self::Data,
            "BDAT" => bdat(rest),
            "RSET" => Self::Reset,
            "NOOP" => Self::Noop,
            "QUIT" => Self::Quit,
            _ => Self::Unknown,
        }
    }

    /// Whether it must be the last of a pipelined group (RFC 2920 §3.1).
    pub(super) fn ends_a_group(&self) -> bool {
        matches!(
            self,
            Self::Helo(_) | Self::Ehlo(_) | Self::StartTls | Self::Auth(_) | Self::Data | Self::Noop | Self::Quit
        )
    }
}

fn path(rest: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let path =
        rest.get(..prefix.len()).filter(|found| found.eq_ignore_ascii_case(prefix)).map(|_| &rest[prefix.len()..])?;
    let (address, parameters) = path.strip_prefix('<')?.rsplit_once('>')?;
    Some((address.to_owned(), parameters.split_ascii_whitespace().map(str::to_owned).collect()))
}

fn bdat(rest: &str) -> Command {
    let mut words = rest.split_ascii_whitespace();
    let size = words.next().and_then(|size| size.parse().ok());
    let last = words.next().map(|word| word.eq_ignore_ascii_case("LAST"));
    match (size, last, words.next()) {
        (Some(size), last, None) if last != Some(false) => Command::Bdat { size, last: last.is_some() },
        _ => Command::Unknown,
    }
}
